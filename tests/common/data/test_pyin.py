"""pYIN against librosa, and its decoder against a search through all sequences."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.data.pyin import IMPOSSIBLE, SWITCH_PROB, Pyin, find_most_likely_path
from tests.parity.librosa_pitch import RECORDED, pitch_cases, recorded_pitch
from tests.support.paths import REPOSITORY


@pytest.mark.parametrize("name", pitch_cases())
def test_pitch_is_that_of_librosa(name: str) -> None:
    case, expected = pitch_cases()[name], recorded_pitch(name)
    found = Pyin(case.rate, case.hop_length, case.frame_length, case.fmin_hz, case.fmax_hz)(case.wav)
    np.testing.assert_allclose(found.f0_hz, expected.f0_hz, atol=1e-3, rtol=0)
    np.testing.assert_allclose(found.voiced_prob, expected.voiced_prob, atol=1e-9, rtol=0)


@pytest.mark.medium
def test_recorded_pitch_is_what_librosa_finds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.parity.librosa_pitch", str(tmp_path / "pitch.npz")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode < 0:
        pytest.skip(f"numba, which compiles librosa, crashed here: {signal.Signals(-done.returncode).name}")
    assert done.returncode == 0, done.stderr
    with np.load(RECORDED) as recorded, np.load(tmp_path / "pitch.npz") as found:
        assert found.files == recorded.files
        if found["librosa"] != recorded["librosa"]:
            pytest.skip(f"librosa {found['librosa']} is installed, {recorded['librosa']} was recorded")
        for name in set(found.files) - {"librosa"}:
            np.testing.assert_allclose(found[name], recorded[name], atol=1e-9, rtol=1e-12, err_msg=name)


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
