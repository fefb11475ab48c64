"""Bootstrap intervals agree with the normal distribution, and pairing narrows them."""

import math

import numpy as np
import pytest

from evaluation.statistics import Interval, difference, interval


def test_interval_of_many_normal_numbers():
    values = np.random.default_rng(0).normal(5.0, 2.0, 1000)
    found = interval(values, 0)
    half = 1.96 * values.std() / math.sqrt(1000)
    assert (found.mean, found.count) == (pytest.approx(values.mean()), 1000)
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_seed_decides():
    values = np.random.default_rng(0).normal(size=20)
    assert interval(values, 1) == interval(values, 1) != interval(values, 2)


def test_what_is_no_number_does_not_count():
    assert interval([2.0, math.nan, 2.0, math.inf], 0) == interval([2.0, 2.0], 0)
    assert interval([2.0, math.nan], 0).count == 1
    nothing = interval([math.nan], 0)
    assert nothing.count == 0
    assert math.isnan(nothing.mean)


def test_pairs_show_what_means_hide():
    easy = np.random.default_rng(0).normal(0, 10, 50)
    better = easy + np.random.default_rng(1).normal(0.5, 0.1, 50)
    assert interval(easy, 0).low < interval(better, 0).mean < interval(easy, 0).high
    found = difference(better, easy, 0)
    assert 0.4 < found.low < found.mean < found.high < 0.6
    assert difference([1.0, math.nan, 3.0], [0.0, 1.0, math.nan], 0).count == 1


def test_claims_need_eight_clips_and_an_interval_beside_zero():
    assert interval([1.0, 1.1] * 4, 0).is_clear
    assert interval([-1.0, -1.1] * 4, 0).is_clear
    assert not interval([1.0, 1.1] * 3 + [1.0], 0).is_clear
    assert not interval([1.0, -1.0] * 4, 0).is_clear
    assert not interval([], 0).is_clear


def test_overlap():
    low, middle, high = (Interval(0.0, *ends, 8) for ends in ((0.0, 1.0), (1.0, 2.0), (1.5, 3.0)))
    assert low.overlaps(middle)
    assert middle.overlaps(high)
    assert not low.overlaps(high)
    assert not high.overlaps(low)


def test_weights_give_the_rate_of_the_whole():
    """Errors by words: the mean over all words, and an interval like that of the ratio's normal approximation."""
    rng = np.random.default_rng(0)
    words = rng.integers(1, 30, 800)
    errors = rng.binomial(words, 0.1)
    found = interval(errors / words, 0, words)
    rate = errors.sum() / words.sum()
    half = 1.96 * math.sqrt(np.square(errors - rate * words).sum()) / words.sum()
    assert (found.mean, found.count) == (pytest.approx(rate), 800)
    assert found.low == pytest.approx(rate - half, abs=0.1 * half)
    assert found.high == pytest.approx(rate + half, abs=0.1 * half)
    equal = interval(errors / words, 0, [3.0] * 800)
    assert equal.mean == pytest.approx(interval(errors / words, 0).mean)
    assert interval([1.0, math.nan, 3.0], 0, [1.0, math.nan, 3.0]).mean == 2.5
