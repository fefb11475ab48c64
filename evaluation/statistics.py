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


def interval(values: Sequence[float], seed: int, weights: Sequence[float] | None = None) -> Interval:
    """Return the mean of the finite values, with the percentile interval of 2000 resamples (Efron 1979).

    Args:
        values: a figure of each clip.
        seed: of the resamples.
        weights: weight of each clip, above 0. With the words of each text, word error rates have the mean of the whole
            corpus: all errors by all words.
    """
    finite = np.isfinite(values)
    figures = np.asarray(values, dtype=np.float64)[finite]
    if not figures.size:
        return Interval(math.nan, math.nan, math.nan, 0)
    rng = np.random.default_rng(seed)
    draws = rng.integers(figures.size, size=(BOOTSTRAP_RESAMPLES, figures.size))
    if weights is None:
        mean, means = figures.mean(), figures[draws].mean(axis=1)
    else:
        shares = np.asarray(weights, dtype=np.float64)[finite]
        mean = np.average(figures, weights=shares)
        means = (figures * shares)[draws].sum(axis=1) / shares[draws].sum(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(mean), float(low), float(high), int(figures.size))


def difference(
    one: Sequence[float], other: Sequence[float], seed: int, weights: Sequence[float] | None = None
) -> Interval:
    """Return the paired mean of `one` minus `other`, over the clips where both are finite, with its interval."""
    return interval([a - b for a, b in zip(one, other, strict=True)], seed, weights)
