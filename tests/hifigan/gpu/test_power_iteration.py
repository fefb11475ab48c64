"""Power iterations of all layers at once equal those of each layer."""

import copy

import pytest
import torch

pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="interpreted only without a GPU")

from hifigan.discriminators import ScaleDiscriminator, advance_spectral_norm, spectral_norms  # noqa: E402
from hifigan.gpu.power_iteration import PowerIterations, check  # noqa: E402
from hifigan.gpu.power_iteration_kernels import CHUNK, COLUMNS, ROWS  # noqa: E402
from hifigan.layers import SpectralNormConv1d  # noqa: E402
from tests.support.gpu.triton_compile import CAPABILITIES, Kernel, compile_kernels  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture
def pair():
    torch.manual_seed(0)
    one = ScaleDiscriminator(SpectralNormConv1d, width=0.125).train()
    return one, copy.deepcopy(one)


def assert_same_vectors(one, other):
    for name, buffer in one.named_buffers():
        torch.testing.assert_close(buffer, other.get_buffer(name), rtol=1e-5, atol=1e-6, msg=name)


def test_the_kernel_proves_itself():
    check(CPU)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_iterations_ahead_equal_iterations_of_each_layer(count):
    one = torch.nn.ModuleList([SpectralNormConv1d(4, 70, 5), SpectralNormConv1d(66, 6, 3, groups=2)])
    other = copy.deepcopy(one)
    PowerIterations(spectral_norms(one)).advance(count)
    advance_spectral_norm(other, count)
    assert_same_vectors(one, other)


def test_vectors_do_not_depend_on_which_of_them_calls_use():
    """As processes, which are called at different turns, need them."""
    one = torch.nn.ModuleList([SpectralNormConv1d(4, 7, 5)])
    other = copy.deepcopy(one)
    PowerIterations(list(one)).advance(3)
    PowerIterations(list(other)).advance(1, kept=2)
    assert all(torch.equal(*pair) for pair in zip(one.buffers(), other.buffers(), strict=True))


@pytest.mark.medium
def test_calls_use_the_vectors_that_were_computed_for_them(pair):
    """Scores, gradients and stored vectors of two calls."""
    one, other = pair
    wavs = torch.randn(2, 2, 1, 500).unbind()
    PowerIterations(spectral_norms(one)).advance(1, kept=2)
    advance_spectral_norm(other, 1)
    pairs = [[judge(wav)[0] for judge in (one, other)] for wav in wavs]
    for scores in pairs:
        torch.testing.assert_close(*scores, rtol=1e-5, atol=1e-6)
    for scores in zip(*pairs, strict=True):
        torch.cat(scores).square().sum().backward()
    assert_same_vectors(one, other)
    for (name, parameter), expected in zip(one.named_parameters(), other.parameters(), strict=True):
        assert (parameter.grad - expected.grad).norm() <= 1e-5 * expected.grad.norm(), name
    assert all(conv.sigmas is None for conv in spectral_norms(one))


@pytest.mark.medium
def test_one_call_for_two_signals_takes_both_vectors(pair):
    one, other = pair
    wav = torch.randn(4, 1, 500)
    PowerIterations(spectral_norms(one)).advance(0, kept=2)
    scores = [judge(wav, signals=2)[0] for judge in (one, other)]
    torch.testing.assert_close(*scores, rtol=1e-5, atol=1e-6)
    assert_same_vectors(one, other)
    for score in scores:
        score.square().sum().backward()
    for (name, parameter), expected in zip(one.named_parameters(), other.parameters(), strict=True):
        assert (parameter.grad - expected.grad).norm() <= 1e-5 * expected.grad.norm(), name


@pytest.mark.slow
def test_kernels_fit_gpus():
    """On A100 and H100, without registers in slow memory."""
    vectors = {"layers": "*i64", "us": "*fp32", "vs": "*fp32"}
    module, tasks = "hifigan.gpu.power_iteration_kernels", {"tasks": "*i64"}
    costs = compile_kernels(
        [
            Kernel(module, "_right_vectors", {**tasks, **vectors, "COLUMNS": COLUMNS, "CHUNK": CHUNK}),
            Kernel(module, "_left_vectors", {**tasks, **vectors, "ROWS": ROWS, "CHUNK": CHUNK}),
            Kernel(
                module,
                "_normalise",
                {**vectors, "sigmas": "*fp32", "eps": "fp32", "call": "i32", "calls": "i32", "CHUNK": CHUNK},
            ),
            Kernel(
                module,
                "_sigma_gradients",
                {
                    **{**tasks, "layers": "*i64", "us": ["*fp32"] * 2, "vs": ["*fp32"] * 2, "gradients": "*fp32"},
                    **{"out": "*fp32", "CALLS": 2, "ROWS": ROWS, "COLUMNS": COLUMNS},
                },
            ),
        ]
    )
    assert len(costs) == 4 * len(CAPABILITIES)
    assert not any(cost.spilled_bytes for cost in costs), costs
