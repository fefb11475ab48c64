"""Training steps with all kernels for GPUs, here run in Python, equal plain ones, also when they are recorded."""

import dataclasses
import functools
import math

import numpy as np
import pytest
import torch

pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="interpreted only without a GPU")

import train  # noqa: E402
from common.training import cuda_graphs  # noqa: E402
from common.training.cuda_graphs import GraphedStep  # noqa: E402
from hifigan import discriminators  # noqa: E402
from hifigan.gpu import bias_sums  # noqa: E402
from hifigan.training import state as state_module  # noqa: E402
from hifigan.training.step_computation import StepComputation  # noqa: E402
from tests.programs.train.graphs import test_graphs  # noqa: E402
from tests.programs.train.graphs.test_graphs import new_state, take_steps  # noqa: E402
from tests.support.gpu.graph_emulator import GraphEmulator  # noqa: E402
from tests.support.models import TINY  # noqa: E402

SMALLEST = dataclasses.replace(TINY, upsample_initial_channel=8, resblock_dilation_sizes=((1,), (2,)))


class WithKernels(StepComputation):
    """On a CPU, computes as on a GPU."""

    def _may_use(self, kernels):
        self.used = {*getattr(self, "used", ()), kernels}
        return True


@pytest.fixture
def states(monkeypatch):
    """Return a function that builds two equal states, of which the second uses kernels.

    Kernels in Python take milliseconds for each block, so the discriminators have few and narrow parts.
    """
    for name in ("WeightNormConv1d", "WeightNormConv2d", "SpectralNormConv1d"):
        monkeypatch.setattr(discriminators, name, thinner(getattr(discriminators, name)))
    monkeypatch.setattr(state_module, "build_discriminators", build_few)
    monkeypatch.setattr(test_graphs, "TINY", SMALLEST)
    for name in ("LEAST_CHUNKS", "MOST_CHUNKS"):
        monkeypatch.setattr(bias_sums, name, 4)

    def build(**settings):
        plain = new_state(fast="off", concat_fwd=True, **settings)
        with monkeypatch.context() as patch:
            patch.setattr(state_module, "StepComputation", WithKernels)
            kernels = new_state(fast="off", concat_fwd=True, **settings)
        return plain, kernels

    return build


def thinner(layer):
    """Return a layer with a 64th of the channels."""

    class Thinner(layer):
        def __init__(self, inputs, outputs, *args, groups=1, **kwargs):
            inputs, outputs = max(1, inputs // 64), max(1, outputs // 64)
            super().__init__(inputs, outputs, *args, groups=math.gcd(groups, inputs, outputs), **kwargs)

    return Thinner


def build_few(*args):
    """Build one discriminator by periods, and two by scales: with spectral norm and with weight norm."""
    found = discriminators.build_discriminators(*args)
    found["mpd"].discriminators = found["mpd"].discriminators[1:2]
    found["msd"].discriminators = found["msd"].discriminators[:2]
    return found


def assert_same_changes(one, other, tolerance):
    """Compare weights and moments, each group as a whole, since some gradients are rounding errors only."""
    for name, group in one.changing().tensors().items():
        pairs = list(zip(group, other.changing().tensors()[name], strict=True))
        difference, size = (
            math.sqrt(sum(t.double().square().sum().item() for t in part))
            for part in ([a - b for a, b in pairs], [b for _, b in pairs])
        )
        assert difference <= tolerance * size, name


@pytest.mark.slow
def test_a_step_with_kernels_equals_a_plain_one(states):
    """Over two micro-batches. After one step, moments are multiples of gradients."""
    plain, kernels = states(optim={"grad_accumulation": 2})
    expected, actual = (take_steps(s, functools.partial(train.both_steps, s), 1) for s in (plain, kernels))
    assert {"activation", "mean_errors", "power_iteration", "weight_norm"} <= kernels.computation.used
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    assert_same_changes(kernels, plain, 1e-4)


@pytest.mark.slow
def test_recorded_steps_with_kernels_equal_plain_ones(states, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "WARM_UP_STEPS", 1)
    plain, kernels = states()
    expected = take_steps(plain, functools.partial(train.both_steps, plain), 3)
    recorder = GraphEmulator()
    step = GraphedStep(functools.partial(train.both_steps, kernels), kernels.changing(), kernels.place.device, recorder)
    actual = take_steps(kernels, step, 3)
    assert step.recorded
    assert recorder.replays == 2  # the trial, and the third step
    np.testing.assert_allclose(actual, expected, rtol=1e-3)
    assert_same_changes(kernels, plain, 1e-2)
