"""Each weakness of a recording has its remark, and a good recording has none."""

import dataclasses
import json

import pytest

from voice.recordings.audio.quality import RecordingQuality

GOOD = RecordingQuality(
    60.0, 44100, 2, "WAV PCM_16", "the mean of both channels", 0.0, 0.0, 16000.0, 50.0, -25.0, 2.0, 40.0, -65.0
)


def test_a_good_recording():
    assert GOOD.remarks() == []
    assert RecordingQuality(**json.loads(json.dumps(GOOD.to_json()))) == GOOD
    assert dataclasses.replace(GOOD, snr_db=None, noise_dbfs=None).remarks() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sampling_rate": 8000, "bandwidth_hz": 3400.0}, "recorded at 8000 Hz, as in telephony"),
        ({"bandwidth_hz": 3400.0}, "no sound above 3.4 kHz"),
        ({"clipped_share": 0.002}, "0.20% of the samples are clipped: record at a lower level"),
        ({"snr_db": 20.0}, "noisy: speech is 20 dB above the noise"),
        ({"snr_db": 9.0}, "very noisy: speech is 9 dB"),
        ({"loudness_lufs": -50.0}, "very quiet (-50 LUFS): record at a higher level"),
        ({"speech_sec": 6.4}, "speech in only 6 of 60 s: music or noise?"),
        ({"dc_offset": -0.05}, "its mean is -0.050 instead of 0"),
    ],
)
def test_remarks(change, words):
    (remark,) = dataclasses.replace(GOOD, **change).remarks()
    assert remark.startswith(words)
