"""Assembled recordings hold the clips at the places that truth.csv names, with noise of the given level."""

import numpy as np
import pytest
import soundfile

from benchmarks.voice import assemble
from common.audio_files import load_wav, resample
from tests.support.data_sets import speechlike
from tests.support.paths import written
from tests.support.programs import one_line_of_error

RATE = 22050
TEXTS = {"a": "One.", "b": "Two.", "c": "Two.", "d": "Three."}


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data" / "wavs").mkdir(parents=True)
    for number, clip in enumerate(TEXTS):
        soundfile.write(tmp_path / "data" / "wavs" / f"{clip}.wav", speechlike(1 + number / 10, RATE), RATE)
    written(tmp_path / "data" / "metadata.csv", "".join(f"{clip}|{text}\n" for clip, text in TEXTS.items()))
    return tmp_path / "data"


@pytest.mark.parametrize("suffix", assemble.CODECS)
def test_clips_lie_where_truth_says(data, tmp_path, suffix):
    pytest.importorskip("av")
    argv = ["--dataset-path", str(data), "-o", str(tmp_path), "--formats", suffix, "--snr-db", "50"]
    assert assemble.main(argv) == 0
    truth = assemble.read_truth(tmp_path / "truth.csv")
    assert sorted(clip.text for clip in truth) == ["One.", "Three.", "Two."], "one take of each text"
    info = soundfile.info(tmp_path / "recordings" / truth[0].recording) if suffix == "mp3" else None
    assert info is None or (info.samplerate, info.channels) == (48000, 2)
    recording, rate = load_wav(tmp_path / "recordings" / truth[0].recording)
    for clip in truth:
        wav, _ = load_wav(data / "wavs" / f"{clip.clip}.wav")
        wav = resample(wav, RATE, rate)
        start = round(clip.start_sec * rate)
        lags = range(-400, 400, 8)
        products = [abs(wav @ recording[start + lag : start + lag + len(wav)]) for lag in lags]
        assert abs(lags[int(np.argmax(products))]) <= 16, "within 16 samples of 48 kHz"


def test_noise_has_the_given_level():
    wav = np.zeros(2 * 48000, np.float32)
    wav[24000:72000] = np.sin(np.arange(48000) / 20) / 2
    noisy = assemble.add_noise(wav, 20, seed=1)
    speech, noise = noisy[24000:72000], noisy[:24000]
    for channel, level in enumerate(assemble.LEVELS):
        expected = 20 + 20 * np.log10(level)
        assert 20 * np.log10(speech[:, channel].std() / noise[:, channel].std()) == pytest.approx(expected, abs=1)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.1, "each channel has its own noise"


def test_excluded_texts_and_missing_files(data, tmp_path, capsys):
    excluded = written(tmp_path / "held_out.csv", "x|Two.\na|Another text.\n")
    argv = ["--dataset-path", str(data), "-o", str(tmp_path / "out"), "--exclude", str(excluded), "--formats", "mp3"]
    pytest.importorskip("av")
    assert assemble.main(argv) == 0
    assert [clip.clip for clip in assemble.read_truth(tmp_path / "out" / "truth.csv")] == ["d"]
    (data / "wavs" / "d.wav").unlink()
    assert "no wavs/d.wav or .flac" in one_line_of_error(assemble.main, argv, capsys)
