"""Pitch, voicing and periodicity of a copy against its recording, by probabilistic YIN (Mauch and Dixon 2014).

The three figures are those of Morrison et al. 2022 (arXiv:2110.10139, section 3), with pYIN in place of their tracker.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from common.data.pitch import PitchConfig

FMIN_HZ, FMAX_HZ = 60.0, 600.0  # of speech: fewer errors of an octave than with the range of music


@dataclasses.dataclass(frozen=True)
class Contour:
    """Of each frame: pitch in Hz (0 where unvoiced) and the probability that it is voiced."""

    pitch_hz: np.ndarray
    periodicity: np.ndarray


def track(wav: np.ndarray, sampling_rate: int, hop_length: int) -> Contour:
    """The contour of [T] samples, one value every `hop_length`."""
    import librosa  # here: it takes most of a second

    pitch, voiced, probability = librosa.pyin(
        wav,
        fmin=FMIN_HZ,
        fmax=FMAX_HZ,
        sr=sampling_rate,
        frame_length=PitchConfig(sampling_rate).frame_length,
        hop_length=hop_length,
    )
    return Contour(np.where(voiced, np.nan_to_num(pitch), 0.0), probability)


def pitch_error_cents(real: Contour, fake: Contour) -> float:
    """Root mean square of the pitch difference in cents, where both are voiced; NaN where nowhere."""
    both = (real.pitch_hz > 0) & (fake.pitch_hz > 0)
    if not both.any():
        return math.nan
    cents = 1200 * np.log2(fake.pitch_hz[both] / real.pitch_hz[both])
    return float(np.sqrt(np.square(cents).mean()))


def voicing_f1(real: Contour, fake: Contour) -> float:
    """F1 score of the voiced decision, the recording being the truth; NaN where nothing is voiced in either."""
    truth, found = real.pitch_hz > 0, fake.pitch_hz > 0
    total = truth.sum() + found.sum()
    return float(2 * (truth & found).sum() / total) if total else math.nan


def periodicity_error(real: Contour, fake: Contour) -> float:
    """Root mean square difference of the probabilities of being voiced, in [0, 1]."""
    return float(np.sqrt(np.square(fake.periodicity - real.periodicity).mean()))
