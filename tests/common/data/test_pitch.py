"""Pitch against recorded values of published data, and statistics against their definition."""

import math

import numpy as np
import pytest

from common.audio_files import load_wav
from common.data.pitch import PitchConfig, compute_statistics, extract_pitch
from common.errors import InputError
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


@pytest.mark.parametrize(
    ("rate", "low", "high"),
    [(22050, 20.0, 600.0), (22050, 600.0, 600.0), (8000, 65.4, 5e3), (22050, math.nan, 600.0)],
)
def test_refused_limits(rate: int, low: float, high: float) -> None:
    with pytest.raises(InputError, match="--f0-min and --f0-max: "):
        PitchConfig(rate, 256, low, high)


def test_limits_hold() -> None:
    """A tone of 300 Hz is unvoiced, or found at another frequency, where its own is excluded."""
    wav = np.sin(2 * np.pi * 300 * np.arange(11025) / 22050)
    inside = extract_pitch(wav, PitchConfig(fmin_hz=100.0, fmax_hz=500.0))
    assert np.median(inside[inside > 0]) == pytest.approx(300, rel=0.01)
    below = extract_pitch(wav, PitchConfig(fmin_hz=70.0, fmax_hz=250.0))
    assert (below <= 251).all()
