"""Signals whose pitch librosa has tracked, and the script that runs it.

    python -m tests.parity.librosa_pitch tests/parity/librosa_pitch.npz

`librosa.pyin` is compiled by numba, which kills the process on some machines. Tests compare with the recorded values,
and librosa runs in a process of its own.
"""

from __future__ import annotations

import argparse
import importlib.metadata
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.audio_files import load_wav
from common.data.flags import FMAX_HZ, FMIN_HZ
from common.data.pitch import PitchConfig
from common.data.pyin import Track
from evaluation import voicing
from tests.support.paths import DEMO_DATA, PARITY

RECORDED = PARITY / "librosa_pitch.npz"
RATE = 22050
GRID = 2**24  # samples are multiples of 1 / GRID, so that sines of all processors give the same


class PitchCase(NamedTuple):
    """Samples [T] at `rate` Hz, and the settings of the pitch tracker."""

    wav: np.ndarray
    rate: int = RATE
    hop_length: int = 256
    fmin_hz: float = FMIN_HZ
    fmax_hz: float = FMAX_HZ

    @property
    def frame_length(self) -> int:
        """Samples of a frame, as both callers of the tracker choose it."""
        return PitchConfig(self.rate).frame_length


@cache
def pitch_cases() -> dict[str, PitchCase]:
    """Return the cases by name."""
    time = np.arange(RATE) / RATE
    speech = load_wav(DEMO_DATA / "wavs" / "arctic_b0277_1592532623.flac")[0]
    cases = {
        "voice": PitchCase(voice()),
        "silence": PitchCase(np.zeros(4000)),
        "noise": PitchCase(np.random.default_rng(1).standard_normal(RATE)),
        "leap": PitchCase(np.sin(2 * np.pi * np.where(time < 0.5, 100, 400) * time)),
        "below the range": PitchCase(np.sin(2 * np.pi * 60 * time)),
        "above the range": PitchCase(np.sin(2 * np.pi * 2300 * time)),
        "half a frame": PitchCase(voice()[:300]),
        "8 kHz": PitchCase(voice(8000), 8000, 80),
        "hop of 600": PitchCase(voice(), hop_length=600),
        "48 kHz": PitchCase(voice(48000), 48000),
        "speech": PitchCase(speech),
        "speech from a vowel on": PitchCase(speech[20 * 256 :]),
        "evaluation": PitchCase(tones_and_noise(), fmin_hz=voicing.FMIN_HZ, fmax_hz=voicing.FMAX_HZ),
    }
    return {name: case._replace(wav=np.round(case.wav * GRID) / GRID) for name, case in cases.items()}


def voice(rate: int = RATE) -> np.ndarray:
    """Return a voice that glides from 150 to 270 Hz, with a pause and a little noise."""
    time = np.arange(rate) / rate
    wav = np.sum([np.sin(2 * np.pi * (150 + 60 * time) * time * k) / k for k in range(1, 10)], axis=0)
    wav[rate // 3 : rate // 2] = 0
    return wav + 0.01 * np.random.default_rng(0).standard_normal(rate)


def tone(hz: float, seconds: float = 1.0) -> np.ndarray:
    """Return a tone of eight equal harmonics."""
    time = np.arange(int(seconds * RATE)) / RATE
    return 0.3 * np.sum([np.sin(2 * np.pi * hz * k * time) for k in range(1, 9)], axis=0)


def tones_and_noise() -> np.ndarray:
    """Return two tones with noise and near-silence between them."""
    rng = np.random.default_rng(0)
    wav = np.concatenate([tone(150), 0.1 * rng.standard_normal(RATE // 2), np.zeros(RATE // 4), tone(310)])
    return wav + 0.01 * rng.standard_normal(len(wav))


def recorded_pitch(name: str) -> Track:
    """Return what librosa found in a case, from the file."""
    with np.load(RECORDED) as recorded:
        return Track(recorded[f"{name}/f0_hz"], recorded[f"{name}/voiced_prob"])


def run_librosa(output: Path) -> None:
    """Track all cases with librosa, and write its version and what it finds."""
    import librosa

    found: dict[str, Any] = {"librosa": np.array(importlib.metadata.version("librosa"))}
    for name, case in pitch_cases().items():
        f0_hz, voiced, voiced_prob = librosa.pyin(
            case.wav,
            fmin=case.fmin_hz,
            fmax=case.fmax_hz,
            sr=case.rate,
            frame_length=case.frame_length,
            hop_length=case.hop_length,
        )
        assert np.array_equal(voiced, ~np.isnan(f0_hz))
        found |= {f"{name}/f0_hz": np.nan_to_num(f0_hz), f"{name}/voiced_prob": voiced_prob}
    np.savez_compressed(output, **found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write what librosa.pyin finds in the signals of the tests.")
    parser.add_argument("output", type=Path)
    run_librosa(parser.parse_args().output)
