"""Time of a benchmark, divided among its stages."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

LEAST_SEC = 60.0  # that a stage may take before it is stopped: a process starts and its libraries choose kernels
TO_BEGIN = 0.7  # of a share: the rest is for what has begun, and for writing


class Budget:
    """Minutes that stages share, in order. What one leaves over, the others get.

    Args:
        minutes: of all stages together, or 0 without a limit.
        clock: seconds that only increase, by default of this machine.
    """

    def __init__(self, minutes: float, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or time.monotonic
        self._end = self._clock() + 60 * minutes if minutes else math.inf

    @property
    def left_sec(self) -> float:
        return max(0.0, self._end - self._clock())

    @property
    def is_over(self) -> bool:
        return self.left_sec <= 0

    def share_sec(self, stages: int) -> float:
        """Return the time after which a stage should begin nothing new, if this many are left, itself included."""
        return TO_BEGIN * self.left_sec / max(1, stages)

    def limit_sec(self, stages: int, most_sec: float) -> float:
        """Return the time after which a stage is stopped. It is twice its share, so that a hang leaves time for others.

        Args:
            stages: left, itself included.
            most_sec: the limit of each stage.
        """
        return min(most_sec, self.left_sec, max(LEAST_SEC, 2 * self.left_sec / max(1, stages)))
