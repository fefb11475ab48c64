"""Training with CUDA graphs equals eager training, also when it resumes from the other's checkpoints."""

import functools
import logging

import numpy as np
import pytest
import torch

import train
from common import distributed
from common.audio import AudioConfig
from common.training import cuda_graphs
from common.training.checkpoint_store import CheckpointStore
from common.training.cuda_graphs import MADE, WARM_UP_STEPS, GraphedStep
from hifigan import discriminators
from hifigan.training.flags import VocoderDataConfig, VocoderOptimConfig, VocoderRunConfig, VocoderTrainConfig
from hifigan.training.state import CHECKPOINT_FILES, VocoderTrainState
from tests.support.data_sets import speechlike
from tests.support.gpu.graph_emulator import GraphEmulator, rate_as_a_number
from tests.support.models import TINY, thin_layers

LISTS = VocoderDataConfig(training_files=("train.txt",), validation_files=("val.txt",), segment_size=1024)


class Failing(GraphEmulator):
    def interrupt(self, exchange):
        pass

    def record(self, work):
        work()
        raise RuntimeError("not supported while a stream is captured")


@pytest.fixture(autouse=True)
def _thin_discriminators(monkeypatch):
    for name, layer in thin_layers().items():
        monkeypatch.setattr(discriminators, name, layer)


@pytest.fixture
def short_warm_up(monkeypatch):
    monkeypatch.setattr(cuda_graphs, "WARM_UP_STEPS", 1)


def new_state(optim=None, **run):
    changes = {"batch_size": 1, "ema": 0.9, "grad_clip_thresh": 50.0, "warmup_steps": 20, **(optim or {})}
    cfg = VocoderTrainConfig(VocoderRunConfig(**run), VocoderOptimConfig(**changes), LISTS, AudioConfig(), TINY)
    state = VocoderTrainState(cfg, distributed.init(cfg.run.cuda))
    state.start_ema()
    return state


def take_steps(state, both_steps, steps):
    """Take steps, each with other segments and another learning rate, and return their losses."""
    wav = torch.from_numpy(speechlike(2.0)).float()
    courses = []
    for _ in range(steps):
        state.set_learning_rate()
        shape = state.cfg.optim.grad_accumulation, state.cfg.optim.batch_size
        starts = np.random.default_rng([state.steps, state.place.rank]).integers(len(wav) - 1024, size=shape)
        group = [[torch.stack([wav[start : start + 1024] for start in part])] for part in starts]
        results = both_steps(group)
        losses = {name: value for name, value in results.items() if name != MADE}
        state.meter.add(losses, made=results[MADE])
        state.steps += 1
        courses.append([value.item() for value in results.values()])
    return courses


def recorded(state, recorder):
    step = functools.partial(train.both_steps, state)
    return GraphedStep(step, state.changing(), state.place.device, recorder)


def assert_same_weights(one, other, tolerance):
    for name, group in one.changing().tensors().items():
        for a, b in zip(group, other.changing().tensors()[name], strict=True):
            assert (a - b).norm() <= tolerance * b.norm(), name


@pytest.mark.medium
@pytest.mark.usefixtures("short_warm_up")
@pytest.mark.parametrize(("run", "accumulation"), [({}, 2), ({"amp": True, "amp_dtype": "bf16"}, 1)])
def test_recorded_steps_are_the_same_training(run, accumulation, caplog):
    optim = {"grad_accumulation": accumulation}
    eager, graphed = new_state(optim, **run), new_state(optim, **run)
    step = recorded(graphed, GraphEmulator())
    expected = take_steps(eager, functools.partial(train.both_steps, eager), 4)
    np.testing.assert_allclose(take_steps(graphed, step, 4), expected, rtol=1e-3)
    assert step.recorded, caplog.text
    assert_same_weights(graphed, eager, 2e-3 if run else 1e-4)
    assert graphed.meter.since_last_log() == pytest.approx(eager.meter.since_last_log(), rel=1e-3)


@pytest.mark.medium
@pytest.mark.usefixtures("short_warm_up")
def test_a_learning_rate_fixed_by_the_recording_would_show(monkeypatch):
    """The comparison above is not vacuous: losses drift away if the rate of the recorded step is a number."""
    monkeypatch.setattr(cuda_graphs.Changing, "capturable", rate_as_a_number)
    eager, graphed = new_state(), new_state()
    step = recorded(graphed, GraphEmulator())
    expected = np.array(take_steps(eager, functools.partial(train.both_steps, eager), 8))
    actual = np.array(take_steps(graphed, step, 8))
    assert step.recorded
    differences = np.abs(actual / expected - 1).max(axis=1)
    assert differences[1] < 1e-5
    assert differences[-1] > 1e-2


@pytest.mark.usefixtures("short_warm_up")
def test_training_goes_on_where_recording_fails(caplog):
    eager, graphed = new_state(), new_state()
    step = recorded(graphed, Failing())
    with caplog.at_level(logging.WARNING):
        actual = take_steps(graphed, step, 3)
    assert actual == take_steps(eager, functools.partial(train.both_steps, eager), 3)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert_same_weights(graphed, eager, 0)


@pytest.mark.medium
@pytest.mark.usefixtures("short_warm_up")
@pytest.mark.parametrize("first_recorded", [True, False])
def test_checkpoints_go_from_recorded_to_eager_training_and_back(first_recorded, tmp_path):
    """Training continues as it would have without the pause."""
    store = CheckpointStore(tmp_path, CHECKPOINT_FILES)
    whole = new_state()
    take_steps(whole, functools.partial(train.both_steps, whole), 6)
    for number, uses_recording in enumerate((first_recorded, not first_recorded)):
        state = new_state()
        assert state.resume(store) is bool(number)
        step = recorded(state, GraphEmulator()) if uses_recording else functools.partial(train.both_steps, state)
        take_steps(state, step, 3)
        assert not uses_recording or step.recorded
        state.epoch_clips = 1
        state.save(store)
    last = torch.load(store.paths(1)[1], weights_only=True)
    assert {type(group["lr"]) for name in ("optim_g", "optim_d") for group in last[name]["param_groups"]} == {float}
    assert_same_weights(state, whole, 1e-4)


def test_steps_are_recorded_on_gpus_by_default():
    state = new_state()
    assert not state.computation.graphed  # on the CPU
    step = functools.partial(train.both_steps, state)
    assert state.computation.accelerated(step, state.changing()) is step


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize(("accumulation", "ema"), [(1, 0.9), (2, 0.0)])
@pytest.mark.parametrize("amp", ["fp32", "bf16", "fp16"])
def test_cuda_graphs_are_the_same_training(amp, accumulation, ema, caplog):
    """Steps are recorded without a warning, and the losses of replays agree with eager steps."""
    courses = {}
    for graphs in (False, True):
        run = {"cuda": True, "cuda_graphs": graphs, **({} if amp == "fp32" else {"amp": True, "amp_dtype": amp})}
        state = new_state({"grad_accumulation": accumulation, "ema": ema}, **run)
        step = state.computation.accelerated(functools.partial(train.both_steps, state), state.changing())
        courses[graphs] = take_steps(state, step, 25)
        if graphs:
            assert step.recorded, caplog.text
    np.testing.assert_allclose(courses[True], courses[False], rtol=1e-3 if amp == "fp32" else 5e-2)


@pytest.mark.gpu
def test_a_recording_that_waits_for_the_gpu_fails_and_training_goes_on(caplog, monkeypatch):
    state = new_state(cuda=True)

    def waits(group):
        results = train.both_steps(state, group)
        assert results["d_loss"].item() > 0
        return results

    step = state.computation.accelerated(waits, state.changing())
    losses = np.array(take_steps(state, step, WARM_UP_STEPS + 4))
    assert not step.recorded
    assert np.isfinite(losses).all()
    assert "continues without CUDA graphs" in caplog.text


@pytest.mark.gpu
def test_cuda_graphs_can_be_left_out():
    assert new_state(cuda=True).computation.graphed
    assert not new_state(cuda=True, cuda_graphs=False).computation.graphed
    assert not new_state(cuda=True, fast="off").computation.graphed
