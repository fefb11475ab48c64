"""Gradients of biases that are added at once equal those of each layer."""

import copy

import pytest
import torch
from torch import nn

pytest.importorskip("triton")

from hifigan.gpu import bias_sums
from hifigan.gpu.activation import SLOPE, bias_leaky_relu
from hifigan.gpu.bias_sums import added_at_once, chunks
from hifigan.layers import SpectralNormConv1d, WeightNormConv1d, WeightNormConvTranspose1d
from tests.support.gpu.triton_compile import Kernel, compile_kernels


@pytest.fixture
def _few_chunks(monkeypatch):
    """Triton's interpreter runs one program after the other."""
    monkeypatch.setattr(bias_sums, "LEAST_CHUNKS", 4)
    monkeypatch.setattr(bias_sums, "MOST_CHUNKS", 8)


def test_chunks_can_be_divided_among_signals():
    assert [chunks(channels) for channels in (1, 24, 32, 100, 128, 512, 4096)] == [256, 256, 256, 128, 64, 64, 64]


def test_chunks_of_all_tensors_are_added():
    torch.manual_seed(0)
    sums = [torch.randn(rows, columns) for rows, columns in ((64, 1), (128, 33), (64, 70), (256, 16))]
    out = bias_sums.OPERATORS.add_bias_chunks(sums)
    for part, begin in zip(sums, (0, 16, 64, 144), strict=True):
        torch.testing.assert_close(out[begin : begin + part.size(1)], part.sum(0), rtol=1e-6, atol=1e-5)
    assert len(out) == 160


@pytest.mark.parametrize("most_tensors", [2, 64])
@pytest.mark.usefixtures("_few_chunks")
def test_gradients_equal_those_of_each_layer(most_tensors, monkeypatch):
    monkeypatch.setattr(bias_sums, "MOST_TENSORS", most_tensors)
    torch.manual_seed(0)
    layers = nn.ModuleList(
        [SpectralNormConv1d(3, 5, 3), WeightNormConv1d(5, 40, 1), WeightNormConvTranspose1d(40, 6, 4)]
    )
    plain = copy.deepcopy(layers)
    x = torch.randn(4, 3, 9)
    with added_at_once([layers]):
        compute(layers, x)
    compute(plain, x)
    for (name, actual), expected in zip(layers.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(actual.grad, expected.grad, rtol=1e-5, atol=1e-5, msg=name)
    assert all(layer.expanded_bias is None for layer in layers)


def compute(layers, x):
    for number, layer in enumerate(layers):
        y, bias, divisors = layer.unfinished(x, 2) if number == 0 else layer.unfinished(x)
        (x,) = bias_leaky_relu(y, bias, SLOPE, divisors)
    x.square().sum().backward()


@pytest.mark.usefixtures("_few_chunks")
def test_unused_biases_have_no_gradient():
    used, unused = WeightNormConv1d(2, 3, 1), WeightNormConv1d(2, 3, 1)
    with added_at_once([used, unused, WeightNormConv1d(2, 3, 1, bias=False)]):
        y, bias, _ = used.unfinished(torch.ones(2, 2, 4))
        assert bias.shape == (8, 3)
        bias_leaky_relu(y, bias, slope=1.0)[0].sum().backward()
    assert used.bias.grad.tolist() == [8, 8, 8]
    assert unused.bias.grad is None


@pytest.mark.slow
def test_the_kernel_compiles_without_spills():
    count = bias_sums.MOST_TENSORS
    arguments = {
        "sums": ("*fp32",) * count,
        "chunks": ("i32:16",) * count,
        "channels": ("i32:16",) * count,
        "out": "*fp32",
    }
    constants = {"COUNT": count, "ROWS": 64, "COLUMNS": 32, "ALIGNMENT": 16}
    for cost in compile_kernels([Kernel(bias_sums.__name__, "add_chunks", {**arguments, **constants})]):
        assert cost.spilled_bytes == 0
        assert cost.registers <= 128
