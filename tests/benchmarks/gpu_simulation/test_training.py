"""Costs of an optimiser step of V1, of validation and of a batch from the cache on a GPU."""

import pytest

from tests.benchmarks.gpu_simulation.budgets import BEFORE, BUDGETS, assert_within, measured

pytestmark = [pytest.mark.gpu_simulated, pytest.mark.slow]


@pytest.mark.parametrize("scenario", BUDGETS["training"])
def test_training_stays_within_its_budget(scenario, training):
    assert_within(BUDGETS["training"][scenario], training[scenario])


@pytest.mark.parametrize(("precision", "most"), [("fp16", 0.6), ("fp32", 0.75)])
@pytest.mark.parametrize("clips", [16, 128])
def test_a_step_moves_less_than_the_plain_recipe_did(precision, most, clips, training):
    name = f"training-{precision}-{clips}"
    assert measured(training[name]).gigabytes < most * measured(BEFORE[f"{name}-plain"]).gigabytes


def test_each_of_eight_processes_launches_little_more_than_one_alone(training):
    """Each also computes the power iterations of the others' micro-batches."""
    assert training["training-fp16-16-world-8"]["kernels"] <= 1.1 * training["training-fp16-16"]["kernels"]


def test_a_step_takes_fewer_than_1500_kernels_and_never_waits(training):
    for name, result in training.items():
        if name.startswith("training"):
            assert result["kernels"] < 1500
            assert result["waits"] == result["crossings"] == []


def test_the_batch_size_does_not_change_the_kernels(training):
    for precision in ("fp16", "fp32"):
        kernels = {training[f"training-{precision}-{clips}"]["kernels"] for clips in (16, 128)}
        assert len(kernels) == 1


def test_memory_grows_with_the_batch_and_fits_a_small_gpu_and_a_large_one(training):
    small, large = (measured(training[f"training-fp32-{clips}"]).peak_gib for clips in (16, 128))
    assert small < 16e9 / 2**30
    assert 2 * small < large < 80e9 / 2**30


def test_arithmetic_is_that_of_the_layers(training):
    """A step makes the same products whatever fuses around them: those that were counted before."""
    for name in ("training-fp16-16", "training-fp16-128", "training-fp32-16"):
        assert training[name]["flop"] == pytest.approx(BEFORE[name]["flop"], rel=0.01)
