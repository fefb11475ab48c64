"""Costs of an optimiser step of FastPitch and of synthesis on a GPU."""

import pytest

from tests.benchmarks.gpu_simulation.budgets import BUDGETS, assert_within

pytestmark = [pytest.mark.gpu_simulated, pytest.mark.slow]


@pytest.mark.parametrize("scenario", BUDGETS["fastpitch"])
def test_fastpitch_stays_within_its_budget(scenario, fastpitch):
    assert_within(BUDGETS["fastpitch"][scenario], fastpitch[scenario])
