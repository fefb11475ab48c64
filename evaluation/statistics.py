"""Means over clips with bootstrap intervals, and paired differences of systems."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

DRAWS = 2000
SHARE = 0.95


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean, its 95 % bootstrap interval, and the number of clips; NaN where there are none."""

    mean: float
    low: float
    high: float
    count: int


def interval(values: Sequence[float], seed: int) -> Interval:
    """The mean of the values that are numbers, with the percentile interval of 2000 resamples (Efron 1979)."""
    finite = np.array([value for value in values if math.isfinite(value)])
    if not finite.size:
        return Interval(math.nan, math.nan, math.nan, 0)
    rng = np.random.default_rng(seed)
    means = finite[rng.integers(finite.size, size=(DRAWS, finite.size))].mean(axis=1)
    low, high = np.quantile(means, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return Interval(float(finite.mean()), float(low), float(high), int(finite.size))


def difference(one: Sequence[float], other: Sequence[float], seed: int) -> Interval:
    """Mean of `one` minus `other` over the clips where both are numbers, paired, with its interval."""
    return interval([a - b for a, b in zip(one, other, strict=True)], seed)
