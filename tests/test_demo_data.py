"""The recordings in data/demo, which the quickstart and several tests use."""

import soundfile

from common.audio import AudioConfig
from common.audio_files import list_audio_files
from common.data.metadata import read_metadata
from tests.support.paths import DEMO_DATA


def test_demo_data():
    transcripts = read_metadata(DEMO_DATA / "metadata.csv").texts
    wavs = list_audio_files(DEMO_DATA / "wavs")
    assert len(transcripts) == 40
    assert [path.stem for path in wavs] == list(transcripts) == sorted(transcripts)
    # One take of each prompt: several takes share a prefix and a text.
    assert len({clip.rsplit("_", 1)[0] for clip in transcripts}) == len(set(transcripts.values())) == 40
    info = [soundfile.info(path) for path in wavs]
    assert {(one.samplerate, one.channels, one.subtype) for one in info} == {(AudioConfig().sampling_rate, 1, "PCM_16")}
    assert 120 < sum(one.duration for one in info) < 180
    assert all(1 < one.duration < 6 for one in info)
