"""pYIN against librosa, and its decoder against a search through all sequences."""

from __future__ import annotations

import itertools

import librosa
import numpy as np
import pytest

from common.audio_files import load_wav
from common.data.flags import FMAX_HZ, FMIN_HZ
from common.data.pitch import PitchConfig
from common.data.pyin import IMPOSSIBLE, SWITCH_PROB, Pyin, find_most_likely_path
from tests.support.paths import DEMO_DATA

RATE = 22050
TIME = np.arange(RATE) / RATE


def voice(rate: int = RATE) -> np.ndarray:
    """A voice that glides from 150 to 270 Hz, with a pause and a little noise."""
    time = np.arange(rate) / rate
    wav = np.sum([np.sin(2 * np.pi * (150 + 60 * time) * time * k) / k for k in range(1, 10)], axis=0)
    wav[rate // 3 : rate // 2] = 0
    return wav + 0.01 * np.random.default_rng(0).standard_normal(rate)


SIGNALS = {
    "voice": voice(),
    "silence": np.zeros(4000),
    "noise": np.random.default_rng(1).standard_normal(RATE),
    "leap": np.sin(2 * np.pi * np.where(TIME < 0.5, 100, 400) * TIME),
    "below the range": np.sin(2 * np.pi * 60 * TIME),
    "above the range": np.sin(2 * np.pi * 2300 * TIME),
    "half a frame": voice()[:300],
}


def like_librosa(wav: np.ndarray, rate: int = RATE, hop_length: int = 256) -> None:
    length = PitchConfig(rate).frame_length
    expected, _, prob = librosa.pyin(
        wav, fmin=FMIN_HZ, fmax=FMAX_HZ, sr=rate, frame_length=length, hop_length=hop_length
    )
    found = Pyin(rate, hop_length, length, FMIN_HZ, FMAX_HZ)(wav)
    np.testing.assert_allclose(found.f0_hz, np.nan_to_num(expected), atol=1e-3, rtol=0)
    np.testing.assert_allclose(found.voiced_prob, prob, atol=1e-9, rtol=0)


@pytest.mark.medium
@pytest.mark.parametrize("name", SIGNALS)
def test_signals(name: str) -> None:
    like_librosa(SIGNALS[name])


@pytest.mark.medium
@pytest.mark.parametrize(("rate", "hop_length"), [(8000, 80), (RATE, 600), (48000, 256)])
def test_rates_and_hops(rate: int, hop_length: int) -> None:
    like_librosa(voice(rate), rate, hop_length)


@pytest.mark.medium
@pytest.mark.parametrize("start", [0, 20 * 256])  # the second is voiced from its first frame on
def test_speech(start: int) -> None:
    like_librosa(load_wav(DEMO_DATA / "wavs" / "arctic_b0277_1592532623.flac")[0][start:])


@pytest.mark.parametrize("reach", [0, 1, 2, 5])
def test_the_path_is_the_best_of_all(reach: int) -> None:
    frames, bins = 4, 3
    rng = np.random.default_rng(reach)
    voiced = np.where(rng.random((frames, bins)) < 0.4, IMPOSSIBLE, np.log(rng.random((frames, bins))))
    unvoiced = np.log(rng.random(frames) / bins)
    unvoiced[2] = IMPOSSIBLE
    near = np.maximum(0, reach + 1 - np.abs(np.subtract.outer(range(bins), range(bins))))
    steps = near / near.sum(axis=1, keepdims=True)
    switches = np.array([[1 - SWITCH_PROB, SWITCH_PROB], [SWITCH_PROB, 1 - SWITCH_PROB]])
    moves = np.log(np.kron(switches, steps) + np.finfo(np.float64).tiny)  # states: voiced bins, then unvoiced ones
    observed = np.concatenate([voiced, np.repeat(unvoiced[:, None], bins, axis=1)], axis=1)

    def score(states: tuple[int, ...]) -> float:
        return sum(observed[range(frames), states]) + sum(moves[a, b] for a, b in itertools.pairwise(states))

    best = max(itertools.product(range(2 * bins), repeat=frames), key=score)
    found = find_most_likely_path(voiced, unvoiced, reach)
    assert found.tolist() == [state if state < bins else -1 for state in best]
