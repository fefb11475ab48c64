"""Recorded optimiser steps against eager ones: with recorders that work, that fail, and that are wrong.

CUDA graphs are emulated. Only a GPU can show what a graph does with its own memory.
"""

import copy
import logging
import re
import weakref

import pytest
import torch

from common.machine.graph_capture import Exchanges
from common.training.cuda_graphs import MADE, WARM_UP_STEPS, Changing, GraphedStep
from common.training.moving_average import EMA
from tests.support.gpu.graph_emulator import GraphEmulator, rate_as_a_number

STEPS = WARM_UP_STEPS + 5


class Failing(GraphEmulator):
    """As a GPU does when something cannot be recorded."""

    def record(self, work):
        work()
        raise RuntimeError("operation not permitted when stream is capturing\nand more lines")


class Idle(GraphEmulator):
    """A recording that computes the right losses and changes nothing."""

    def record(self, work):
        results = work()
        return lambda: None, results


class Training:
    """A small model with everything that a training step changes. `broken` names what its recording omits."""

    def __init__(self, broken=""):
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))
        self.ema = EMA(self.model, 0.5)
        self.optim = torch.optim.AdamW(self.model.parameters(), 0.01, fused=True)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=4)
        self.changing = Changing(
            {"model": self.model, "average": self.ema.module}, {"optim": self.optim}, [self.scaler]
        )
        self.broken = broken

    def step(self, group):
        broken = self.broken if self.optim.param_groups[0]["capturable"] else ""
        self.optim.zero_grad()
        total = torch.zeros(())
        for x, y in group:
            if broken == "inputs":
                x, y = torch.ones_like(x), torch.ones_like(y)
            loss = (self.model(x) - y).square().mean()
            self.scaler.scale(loss).backward()
            total += loss.detach()
        if broken == "error":
            self.scaler.unscale_(self.optim)
            self.optim.found_inf = torch.ones(())
            raise ValueError("in the midst of a step")
        before = self.optim.state[self.model[0].weight]["step"].clone() if self.optim.state else torch.zeros(())
        self.scaler.step(self.optim)
        self.scaler.update(1.0 if broken == "scale" else None)
        made = self.optim.state[self.model[0].weight]["step"] - before
        if broken == "buffers":
            self.model[1].running_mean.zero_()
        if broken != "average":
            self.ema.update(self.model, made)
        return {"loss": total + (0.5 if broken == "loss" else 0.0), MADE: made}

    def values(self):
        snapshot = self.changing.snapshot()
        return snapshot.tensors, snapshot.scalers


def course(training, step, steps=STEPS, overflow_at=()):
    """Return the losses of some steps, each with its own rate and two micro-batches, and everything they changed."""
    losses = []
    generator = torch.Generator().manual_seed(1)
    for number in range(steps):
        training.optim.param_groups[0]["lr"] = 0.01 * 0.7**number
        group = [(torch.randn(6, 4, generator=generator), torch.randn(6, 1, generator=generator)) for _ in range(2)]
        if number in overflow_at:
            group[0][1][0, 0] = torch.inf
        losses.append([value.item() for value in step(group).values()])
    return losses, *training.values()


def assert_same(one, other, exact=True):
    assert one[2] == other[2]
    rtol = 0 if exact else 1e-6  # recorded, the rate is a number of 32 bits
    torch.testing.assert_close(torch.tensor(one[0]), torch.tensor(other[0]), rtol=rtol, atol=0, equal_nan=True)
    for name, group in one[1].items():
        for a, b in zip(group, other[1][name], strict=True):
            torch.testing.assert_close(a, b, rtol=rtol, atol=rtol / 10, msg=name)


def graphed(training, recorder):
    return GraphedStep(training.step, training.changing, torch.device("cpu"), recorder)


@pytest.mark.medium
def test_replays_are_the_same_training(caplog):
    """With inputs, rates and loss scales that differ from step to step."""
    plain, recorded, recorder = Training(), Training(), GraphEmulator()
    step = graphed(recorded, recorder)
    assert_same(course(recorded, step), course(plain, plain.step), exact=False)
    assert step.recorded
    assert recorder.replays == STEPS - WARM_UP_STEPS  # one of them tried the recording
    assert not caplog.records


def test_the_step_that_is_recorded_is_the_eager_one():
    """The recording and its trial leave no trace."""
    plain, recorded = Training(), Training()
    step = graphed(recorded, GraphEmulator())
    assert_same(course(recorded, step, WARM_UP_STEPS + 1), course(plain, plain.step, WARM_UP_STEPS + 1))
    assert step.recorded


@pytest.mark.parametrize(
    ("recorder", "broken", "words"),
    [
        (Failing, "", "operation not permitted when stream is capturing"),
        (GraphEmulator, "error", "in the midst of a step"),
        (GraphEmulator, "loss", "the recorded step has losses"),
        (GraphEmulator, "inputs", "the recorded step has losses"),
        (GraphEmulator, "average", "changes average.weights differently"),
        (GraphEmulator, "buffers", "changes model.buffers differently"),
        (GraphEmulator, "scale", "scales the loss differently"),
        (Idle, "", "the recorded step has losses|changes model.weights differently"),
    ],
)
def test_what_goes_wrong_is_told_once_and_changes_nothing(recorder, broken, words, caplog):
    plain, recorded, made = Training(), Training(broken), recorder()
    step, remaining = graphed(recorded, made), weakref.ref(made)
    del made
    with caplog.at_level(logging.WARNING):
        assert_same(course(recorded, step), course(plain, plain.step))
    assert remaining() is None  # nor are its graphs
    assert not step.recorded
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert message.startswith("training continues without CUDA graphs")
    assert "\n" not in message
    assert re.search(words, message), message


def test_a_step_that_is_left_out_is_not_recorded(caplog):
    """There would be nothing to compare. It does not count as warm-up either."""
    plain, recorded, recorder = Training(), Training(), GraphEmulator()
    step = graphed(recorded, recorder)
    left_out = (0, WARM_UP_STEPS + 1, WARM_UP_STEPS + 3)
    assert_same(course(recorded, step, STEPS, left_out), course(plain, plain.step, STEPS, left_out), exact=False)
    assert recorder.replays == STEPS - WARM_UP_STEPS - 2
    assert not caplog.records


def test_other_sizes_are_computed_eagerly():
    plain, recorded, recorder = Training(), Training(), GraphEmulator()
    step = graphed(recorded, recorder)
    for one, training in ((plain.step, plain), (step, recorded)):
        course(training, one)
        one([(torch.ones(3, 4), torch.zeros(3, 1))])
    assert recorder.replays == STEPS - WARM_UP_STEPS
    assert_same(([], *recorded.values()), ([], *plain.values()), exact=False)


def test_checkpoints_do_not_tell_whether_steps_are_recorded():
    """A state of the optimiser that was saved by one is the other's, with its rate as a number."""
    plain, recorded = Training(), Training()
    course(recorded, graphed(recorded, GraphEmulator()))
    course(plain, plain.step)
    ours, theirs = copy.deepcopy(recorded.optim.state_dict()), copy.deepcopy(plain.optim.state_dict())
    assert ours["param_groups"] == theirs["param_groups"]
    assert type(ours["param_groups"][0]["lr"]) is float
    plain.optim.load_state_dict(ours)
    recorded.optim.load_state_dict(theirs)
    course(plain, plain.step)
    step = graphed(recorded, GraphEmulator())
    course(recorded, step)
    assert step.recorded


def test_the_emulator_shows_a_learning_rate_that_a_recording_fixes(monkeypatch):
    """In its first replay, the rate is still right."""
    monkeypatch.setattr(Changing, "capturable", rate_as_a_number)
    plain, recorded = Training(), Training()
    step = graphed(recorded, GraphEmulator())
    assert_same(course(recorded, step, WARM_UP_STEPS + 1), course(plain, plain.step, WARM_UP_STEPS + 1))
    assert step.recorded
    recorded_losses, plain_losses = (
        torch.tensor(course(*pair)[0])[:, 0] for pair in ((recorded, step), (plain, plain.step))
    )
    assert step.recorded
    torch.testing.assert_close(recorded_losses[0], plain_losses[0])
    assert (recorded_losses[1:] / plain_losses[1:] - 1).abs().min() > 1e-3


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.sum() > 0),
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: x.cpu(),
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: x[x > 0],
        lambda x: x.masked_select(x > 0),
        lambda x: x.equal(x + 1),
        lambda x: x.repeat_interleave(torch.tensor([1, 2, 3])),
    ],
)
def test_the_emulator_refuses_to_wait_for_a_value(wait):
    x = torch.ones(3)
    with pytest.raises(RuntimeError, match="operation not permitted when stream is capturing"):
        GraphEmulator().record(lambda: wait(x.mul_(2)))
    assert x.tolist() == [1, 1, 1]


def test_the_emulator_replays_operators_and_not_python():
    """Recording computes nothing. Replays read and write the recorded memory, and draw other random numbers."""
    x, mask, weights = torch.ones(3), torch.tensor([True, False, True]), torch.ones(2, requires_grad=True)
    runs, drawn = [], []

    def work():
        runs.append(len(runs))
        x[mask] = x.sum() + runs[-1]
        y = x.repeat_interleave(torch.tensor([1, 0, 2]), output_size=3).view(3, 1).t_() * 2
        (y[0, :2] * weights).sum().backward()
        drawn.append(torch.nn.functional.dropout(torch.ones(1000), 0.5))
        return {"y": y.sum()}

    emulator = GraphEmulator()
    replay, results = emulator.record(work)
    assert x.tolist() == [1, 1, 1]
    assert results["y"].isnan()
    masks = []
    for total in (3, 7):
        replay()
        assert x.tolist() == [total, 1, total]
        assert results["y"] == 6 * total
        assert weights.grad.tolist() == [2 * total, 2 * total]
        masks.append(drawn[0].clone())
    assert (masks[0] == masks[1]).float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert runs == [0]
    assert emulator.replays == 2


class Counted:
    """An exchange of two values with another process, which always has 2."""

    def __init__(self):
        self.value, self.made = torch.zeros(()), 0

    def average(self):
        self.made += 1
        self.value.copy_((self.value + 2) / 2)


def test_exchanges_take_place_between_the_graphs_of_each_step():
    """Their effects are part of the step, eager or recorded."""
    courses = {}
    for recorder in (None, GraphEmulator()):
        training, exchange, exchanges = Training(), Counted(), Exchanges()

        def step(group, training=training, exchange=exchange, exchanges=exchanges):
            exchange.value.copy_(group[0][0].mean())
            exchanges(exchange.average)
            scaled = [(x * exchange.value, y) for x, y in group]
            return training.step(scaled)

        device = torch.device("cpu")
        graphs = GraphedStep(step, training.changing, device, recorder, exchanges) if recorder else step
        courses[recorder] = course(training, graphs)
        # Recording exchanges nothing. Its trial does.
        assert exchange.made == STEPS + (recorder is not None)
        assert recorder is None or graphs.recorded
    eager, recorded = courses.values()
    assert_same(recorded, eager, exact=False)
