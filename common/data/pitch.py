"""Fundamental frequency of speech for FastPitch, and the statistics of a voice.

Each frame of a "tacotron"-framed mel has one value in Hz, or 0 if unvoiced.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from common.data.pyin import Pyin
from common.errors import InputError
from common.files.json_files import read_json
from common.project import command

PITCH_STATISTICS_FILE = "pitch_statistics.json"  # beside the pitch files of a voice
FMIN_HZ, FMAX_HZ = 65.40639132514966, 2093.004522404789  # C2 and C7


@dataclasses.dataclass(frozen=True)
class PitchConfig:
    """Settings of pitch extraction.

    Attributes:
        sampling_rate: rate of the audio, in Hz.
        hop_length: samples between frames.
    """

    sampling_rate: int = 22050
    hop_length: int = 256

    @property
    def frame_length(self) -> int:
        """Samples searched for a period: 1024 at 22,050 Hz, and about the same duration at other rates."""
        return 2 ** round(math.log2(1024 * self.sampling_rate / 22050))

    def to_dict(self) -> dict[str, Any]:
        """Return all settings that the values depend on, to be recorded beside the files."""
        limits = {"frame_length": self.frame_length, "fmin_hz": FMIN_HZ, "fmax_hz": FMAX_HZ}
        return {"method": "pyin", **dataclasses.asdict(self), **limits}


def extract_pitch(wav: np.ndarray, config: PitchConfig) -> np.ndarray:
    """Extract the fundamental frequency with probabilistic YIN (common/data/pyin.py).

    Args:
        wav: [T], in [-1, 1].
        config: the sampling rate and the frames.

    Returns:
        float32 [T // hop_length + 1], in Hz, 0 if unvoiced.
    """
    track = Pyin(config.sampling_rate, config.hop_length, config.frame_length, FMIN_HZ, FMAX_HZ)
    return track(wav).f0_hz.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class PitchStatistics:
    """Mean and standard deviation, in Hz, of a voice's voiced frames, and the number of frames."""

    mean_hz: float
    std_hz: float
    voiced_frames: int
    frames: int


def compute_statistics(contours: Iterable[np.ndarray]) -> PitchStatistics | None:
    """Compute statistics over all contours (in Hz, 0 if unvoiced) of a voice. None if nothing is voiced."""
    frames = count = 0
    total = squares = 0.0
    for contour in contours:
        voiced = contour[contour > 0].astype(np.float64)
        frames += contour.size
        count += voiced.size
        total += voiced.sum()
        squares += np.square(voiced).sum()
    if not count:
        return None
    mean = total / count
    return PitchStatistics(float(mean), math.sqrt(max(0.0, squares / count - mean**2)), count, frames)


def read_statistics(path: Path) -> PitchStatistics:
    """Read the statistics that `prepare_dataset.py --extract-pitch` writes.

    Raises:
        FileNotFoundError: no such file.
        InputError: another kind of file, or a voice without variation.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such statistics; {command('python prepare_dataset.py')} --extract-pitch makes them"
        )
    try:
        found = PitchStatistics(**read_json(path))
        usable = found.mean_hz > 0 and found.std_hz > 0
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not statistics of pitch ({error}); make them again") from error
    if not usable:
        raise InputError(f"{path}: mean {found.mean_hz} Hz and deviation {found.std_hz} Hz must be above 0")
    return found
