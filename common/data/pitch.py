"""Fundamental frequency of speech as FastPitch needs it, and the statistics of a voice.

One value in Hz for each frame of a "tacotron"-framed mel, 0 where the frame is unvoiced.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from common.data.pyin import Pyin
from common.errors import InputError

PITCH_STATISTICS_FILE = "pitch_statistics.json"  # beside the pitch files of a voice
FMIN_HZ, FMAX_HZ = 65.40639132514966, 2093.004522404789  # C2 and C7


@dataclasses.dataclass(frozen=True)
class PitchConfig:
    """How pitch is measured.

    Attributes:
        sampling_rate: of the audio, in Hz.
        hop_length: samples from one frame to the next.
    """

    sampling_rate: int = 22050
    hop_length: int = 256

    @property
    def frame_length(self) -> int:
        """Samples that are searched for a period: 1024 at 22,050 Hz, and about as long at other rates."""
        return 2 ** round(math.log2(1024 * self.sampling_rate / 22050))

    def to_dict(self) -> dict[str, Any]:
        """All that the values depend on, for the description beside the files."""
        limits = {"frame_length": self.frame_length, "fmin_hz": FMIN_HZ, "fmax_hz": FMAX_HZ}
        return {"method": "pyin", **dataclasses.asdict(self), **limits}


def extract_pitch(wav: np.ndarray, config: PitchConfig) -> np.ndarray:
    """Fundamental frequency by probabilistic YIN (common/pyin.py).

    Args:
        wav: [T], in [-1, 1].
        config: its rate, and the frames.

    Returns:
        float32 [T // hop_length + 1], in Hz; 0 where unvoiced.
    """
    track = Pyin(config.sampling_rate, config.hop_length, config.frame_length, FMIN_HZ, FMAX_HZ)
    return track(wav).f0_hz.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class PitchStatistics:
    """Mean and standard deviation in Hz of a voice's voiced frames, and how many there are."""

    mean_hz: float
    std_hz: float
    voiced_frames: int
    frames: int


def statistics(contours: Iterable[np.ndarray]) -> PitchStatistics | None:
    """Statistics over all contours (in Hz, 0 where unvoiced) of a voice; None if nothing is voiced."""
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
    """Statistics as `prepare_dataset.py --extract-pitch` writes them.

    Raises:
        FileNotFoundError: no such file.
        InputError: something else, or a voice without variation.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such statistics; prepare_dataset.py --extract-pitch makes them")
    try:
        found = PitchStatistics(**json.loads(path.read_text(encoding="utf-8")))
        usable = found.mean_hz > 0 and found.std_hz > 0
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not statistics of pitch ({error}); make them again") from error
    if not usable:
        raise InputError(f"{path}: mean {found.mean_hz} Hz and deviation {found.std_hz} Hz must be above 0")
    return found
