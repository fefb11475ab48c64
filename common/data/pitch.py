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

from common.data.flags import FMAX_HZ, FMIN_HZ
from common.data.pyin import Pyin
from common.errors import InputError
from common.files.json_files import read_json
from common.project import command

PITCH_STATISTICS_FILE = "pitch_statistics.json"  # beside the pitch files of a voice
HIGHEST_HZ = 100_000.0  # beyond it, statistics are damaged


@dataclasses.dataclass(frozen=True)
class PitchConfig:
    """Settings of pitch extraction.

    Attributes:
        sampling_rate: rate of the audio, in Hz.
        hop_length: samples between frames.
        fmin_hz: lowest frequency.
        fmax_hz: highest frequency.

    Raises:
        InputError: limits that do not fit each other, or a lowest frequency whose period the frames cannot hold.
    """

    sampling_rate: int = 22050
    hop_length: int = 256
    fmin_hz: float = FMIN_HZ
    fmax_hz: float = FMAX_HZ

    def __post_init__(self) -> None:
        lowest = self.sampling_rate / (self.frame_length - 2)
        if not lowest < self.fmin_hz < self.fmax_hz <= self.sampling_rate / 2:
            raise InputError(
                f"--f0-min and --f0-max: {self.fmin_hz:g} and {self.fmax_hz:g} Hz must rise and lie between "
                f"{lowest:.1f} and {self.sampling_rate / 2:g} Hz at this sampling rate"
            )

    @property
    def frame_length(self) -> int:
        """Samples searched for a period: 1024 at 22,050 Hz, and about the same duration at other rates."""
        return 2 ** round(math.log2(1024 * self.sampling_rate / 22050))

    def to_dict(self) -> dict[str, Any]:
        """Return all settings that the values depend on, to be recorded beside the files."""
        return {"method": "pyin", "frame_length": self.frame_length, **dataclasses.asdict(self)}


def extract_pitch(wav: np.ndarray, config: PitchConfig) -> np.ndarray:
    """Extract the fundamental frequency with probabilistic YIN (common/data/pyin.py).

    Args:
        wav: [T], in [-1, 1].
        config: the sampling rate and the frames.

    Returns:
        float32 [T // hop_length + 1], in Hz, 0 if unvoiced.
    """
    track = Pyin(config.sampling_rate, config.hop_length, config.frame_length, config.fmin_hz, config.fmax_hz)
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
        usable = all(0 < value < HIGHEST_HZ for value in (found.mean_hz, found.std_hz))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not statistics of pitch ({error}); make them again") from error
    if not usable:
        raise InputError(f"{path}: mean {found.mean_hz} Hz and deviation {found.std_hz} Hz must be above 0, and finite")
    return found
