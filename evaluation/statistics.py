"""Means over clips with bootstrap intervals, and paired differences between systems."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

BOOTSTRAP_RESAMPLES = 2000
CONFIDENCE = 0.95
FEWEST_CLIPS = 8  # resamples of fewer clips are too alike, which makes intervals too narrow to claim anything


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean, its 95 % bootstrap interval, and the number of clips. All but the number are NaN without any clip."""

    mean: float
    low: float
    high: float
    count: int

    @property
    def is_clear(self) -> bool:
        """A difference that can be claimed: the interval excludes 0 and covers at least `FEWEST_CLIPS` clips."""
        return self.count >= FEWEST_CLIPS and (self.low > 0 or self.high < 0)

    def overlaps(self, other: Interval) -> bool:
        return self.low <= other.high and other.low <= self.high


def interval(values: Sequence[float], seed: int) -> Interval:
    """Return the mean of the finite values, with the percentile interval of 2000 resamples (Efron 1979)."""
    finite = np.array([value for value in values if math.isfinite(value)])
    if not finite.size:
        return Interval(math.nan, math.nan, math.nan, 0)
    rng = np.random.default_rng(seed)
    means = finite[rng.integers(finite.size, size=(BOOTSTRAP_RESAMPLES, finite.size))].mean(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(finite.mean()), float(low), float(high), int(finite.size))


def difference(one: Sequence[float], other: Sequence[float], seed: int) -> Interval:
    """Return the paired mean of `one` minus `other`, over the clips where both are finite, with its interval."""
    return interval([a - b for a, b in zip(one, other, strict=True)], seed)
