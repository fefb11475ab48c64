"""Pitch against recorded values of published data, and statistics against their definition."""

import numpy as np
import pytest

from common.audio_files import load_wav
from common.data.pitch import PitchConfig, compute_statistics, extract_pitch
from tests.support.paths import PARITY, real_speech


@pytest.mark.parametrize("clip", ["LJ001-0001", "LJ001-0002", "LJ001-0005"])
def test_recorded_values(clip):
    if real_speech() is None:
        pytest.skip("HIFIGAN_TEST_DATA is not set")
    wav, _ = load_wav(next((real_speech() / "data" / "ljspeech-mini").rglob(f"{clip}.wav")))
    expected = np.load(PARITY / "pitch.npz")[f"{clip}/pitch_hz"][0]
    np.testing.assert_allclose(extract_pitch(wav, PitchConfig()), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("rate", "length"), [(8000, 512), (16000, 1024), (22050, 1024), (24000, 1024), (48000, 2048)])
def test_the_search_is_about_as_long_at_all_rates(rate, length):
    assert PitchConfig(rate).frame_length == length


def test_statistics_are_those_of_voiced_frames():
    contours = [np.array([0, 100, 200], np.float32), np.array([], np.float32), np.array([[300, 0]], np.float32)]
    found = compute_statistics(contours)
    assert (found.mean_hz, found.voiced_frames, found.frames) == (200, 3, 5)
    assert found.std_hz == pytest.approx(np.std([100, 200, 300]))
    assert compute_statistics([np.zeros(4)]) is None
