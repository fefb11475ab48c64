"""Pitch, voicing, and periodicity errors between resynthesised speech and its recording.

The three figures of Morrison et al. 2022 (arXiv:2110.10139, section 3), with pYIN in place of their pitch tracker.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from common.data.pitch import PitchConfig
from common.data.pyin import Pyin, Track

FMIN_HZ, FMAX_HZ = 60.0, 600.0  # the range of speech: fewer octave errors than with the range of music


class PitchContour(NamedTuple):
    """Pitch of each frame [L] in Hz, 0 where unvoiced, and the seconds from one frame to the next, from 0 on."""

    f0_hz: np.ndarray
    frame_sec: float

    @property
    def seconds(self) -> float:
        """Time of the last frame, which lies at the end of the audio."""
        return (len(self.f0_hz) - 1) * self.frame_sec


def track_pitch(wav: np.ndarray, sampling_rate: int, hop_length: int) -> Track:
    """Return pitch and voicing probability of [T] samples, one value every `hop_length`."""
    frame_length = PitchConfig(sampling_rate).frame_length
    return Pyin(sampling_rate, hop_length, frame_length, FMIN_HZ, FMAX_HZ)(wav)


def pitch_error_cents(real: Track, fake: Track) -> float:
    """Return the root mean square pitch difference in cents over frames voiced in both, or NaN without any."""
    both = (real.f0_hz > 0) & (fake.f0_hz > 0)
    if not both.any():
        return math.nan
    cents = 1200 * np.log2(fake.f0_hz[both] / real.f0_hz[both])
    return float(np.sqrt(np.square(cents).mean()))


def voicing_f1(real: Track, fake: Track) -> float:
    """Return the F1 score of the voiced decision, with the recording as truth, or NaN if nothing is voiced."""
    truth, found = real.f0_hz > 0, fake.f0_hz > 0
    total = truth.sum() + found.sum()
    return float(2 * (truth & found).sum() / total) if total else math.nan


def periodicity_error(real: Track, fake: Track) -> float:
    """Return the root mean square difference of the voicing probabilities, in [0, 1]."""
    return float(np.sqrt(np.square(fake.voiced_prob - real.voiced_prob).mean()))
