"""Means and counts by hand."""

import math

import pytest
import torch

from common.training.loss_meter import LossMeter, ValidationMeter


def add(meter, *values, made=None):
    finite = all(map(math.isfinite, values)) if made is None else made
    losses = {name: torch.tensor(value) for name, value in zip("ab", values, strict=False)}
    meter.add(losses, made=torch.tensor(float(finite)))


def test_means_since_the_last_log_and_over_the_epoch():
    meter = LossMeter(torch.device("cpu"))
    for value in (1.0, 3.0):
        add(meter, value, 10 * value)
    assert meter.since_last_log() == {"a": 2.0, "b": 20.0}
    assert meter.logged_steps == 2
    add(meter, 8.0, 80.0)
    assert meter.since_last_log() == {"a": 8.0, "b": 80.0}
    assert (meter.logged_steps, meter.epoch_steps, meter.skipped) == (1, 3, 0)
    assert meter.epoch_means() == {"a": pytest.approx(4.0), "b": pytest.approx(40.0)}


def test_steps_that_are_not_finite_count_apart():
    meter = LossMeter(torch.device("cpu"))
    for values in ((1.0, 1.0), (math.nan, 2.0), (5.0, math.inf), (3.0, 3.0), (math.nan, math.nan)):
        add(meter, *values)
    assert meter.since_last_log() == {"a": 2.0, "b": 2.0}
    assert (meter.skipped, meter.skipped_in_a_row) == (3, 1)
    add(meter, math.nan, 1.0)
    assert all(math.isnan(value) for value in meter.since_last_log().values())
    assert (meter.skipped, meter.skipped_in_a_row) == (4, 2)
    add(meter, 6.0, 6.0)
    meter.since_last_log()
    assert (meter.skipped, meter.skipped_in_a_row) == (4, 0)
    assert meter.epoch_means()["a"] == pytest.approx((1 + 3 + 6) / 3)


def test_steps_in_a_row_are_counted_over_the_end_of_an_epoch():
    meter = LossMeter(torch.device("cpu"))
    add(meter, math.nan)
    meter.since_last_log()
    meter.start_epoch()
    add(meter, math.nan)
    meter.since_last_log()
    assert (meter.skipped, meter.skipped_in_a_row, meter.epoch_steps) == (1, 2, 1)


def test_what_the_optimisers_left_out_counts_whatever_the_losses_are():
    meter = LossMeter(torch.device("cpu"))
    add(meter, 1.0, made=True)
    add(meter, 7.0, made=False)  # finite losses, gradients that are not
    add(meter, math.inf, made=True)
    assert meter.since_last_log() == {"a": 1.0}
    assert (meter.skipped, meter.skipped_in_a_row) == (1, 0)
    add(meter, 7.0, made=False)
    meter.since_last_log()
    assert (meter.skipped, meter.skipped_in_a_row) == (2, 1)


def test_validation_means_are_over_items():
    meter = ValidationMeter(torch.device("cpu"))
    meter.add({"a": torch.tensor(6.0), "b": torch.tensor(3.0)}, 3)
    meter.add({"a": torch.tensor(2.0), "b": torch.tensor(1.0)}, 1)
    assert meter.means(stopped=False) == {"a": 2.0, "b": 1.0}
    assert meter.means(stopped=True) is None
