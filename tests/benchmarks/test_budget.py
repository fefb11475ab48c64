"""Shares of a time limit."""

import math

import pytest

from benchmarks.budget import LEAST_SEC, Budget


@pytest.fixture
def clock():
    return [100.0]


def test_what_a_stage_leaves_over_is_shared(clock):
    budget = Budget(10, lambda: clock[0])
    assert budget.share_sec(4) == pytest.approx(0.7 * 150)
    clock[0] += 60
    assert budget.share_sec(3) == pytest.approx(0.7 * 180)
    clock[0] += 540
    assert budget.is_over
    assert budget.share_sec(2) == 0


def test_a_stage_that_hangs_leaves_time_for_the_others(clock):
    budget = Budget(10, lambda: clock[0])
    assert budget.limit_sec(6, 1000) == 200
    assert budget.limit_sec(6, 70) == 70
    assert budget.limit_sec(100, 1000) == LEAST_SEC
    assert budget.limit_sec(1, 10000) == 600  # the end of all
    clock[0] += 590
    assert budget.limit_sec(1, 1000) == 10


def test_no_limit():
    budget = Budget(0)
    assert not budget.is_over
    assert budget.share_sec(3) == math.inf
    assert budget.limit_sec(3, 50) == 50
