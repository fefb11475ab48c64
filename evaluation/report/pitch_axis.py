"""The pitch of all versions of a clip as lines over one axis, as the page's vector graphics."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evaluation.voicing import PitchContour

# The page stretches the drawing to its width. These are its own units.
WIDTH, HEIGHT = 1000.0, 100.0
MARKS_HZ = (50, 75, 100, 150, 200, 300, 400, 600, 800, 1200, 1600)
MARGIN = 1.05  # ratio of the ends of the axis to the lowest and the highest pitch


@dataclasses.dataclass(frozen=True)
class Mark:
    """A label on an axis, and its place as a percentage from the left or the top."""

    label: str
    percent: float


@dataclasses.dataclass(frozen=True)
class PitchAxis:
    """Drawing of the pitch of all versions of a clip.

    Attributes:
        low_hz, high_hz: ends of the logarithmic axis that all versions share.
        lines: system -> path data, with a gap where it is unvoiced.
        pitch_marks: labels in Hz.
        time_marks: labels in seconds.
    """

    low_hz: float
    high_hz: float
    lines: Mapping[str, str]
    pitch_marks: Sequence[Mark]
    time_marks: Sequence[Mark]


def draw_pitch(pitches: Mapping[str, PitchContour]) -> PitchAxis | None:
    """Draw the pitch contours of a clip by system on one axis, as long as the longest. None if nothing is voiced."""
    voiced = np.concatenate([pitch.f0_hz[pitch.f0_hz > 0] for pitch in pitches.values()] or [np.zeros(0)])
    if not voiced.size:
        return None
    seconds = max(pitch.seconds for pitch in pitches.values())
    low, high = float(voiced.min()) / MARGIN, float(voiced.max()) * MARGIN

    def percent(hz: float) -> float:
        return 100 * math.log(high / hz) / math.log(high / low)

    marks = [Mark(str(hz), percent(hz)) for hz in MARKS_HZ if low <= hz <= high]
    step = next(step for step in (0.5, 1, 2, 5, 10, 30, math.inf) if seconds / step <= 10)
    times = np.arange(0, seconds, step) if math.isfinite(step) else [0.0]
    return PitchAxis(
        low_hz=low,
        high_hz=high,
        lines={
            system: _path(pitch.f0_hz, WIDTH * pitch.frame_sec / seconds, lambda hz: HEIGHT / 100 * percent(hz))
            for system, pitch in pitches.items()
        },
        pitch_marks=marks,
        time_marks=[Mark(f"{time:g}", 100 * time / seconds) for time in times],
    )


def _path(pitch_hz: np.ndarray, step: float, height: Callable[[float], float]) -> str:
    """Return SVG path data: a polyline for each voiced stretch. A single frame is a dot."""
    words = []
    was_voiced = False
    for frame, hz in enumerate(pitch_hz):
        if hz > 0:
            words.append(f"{'L' if was_voiced else 'M'}{frame * step:.1f} {height(float(hz)):.1f}")
            if not was_voiced:
                words.append("h.1")
        was_voiced = hz > 0
    return "".join(words)
