"""Convolutions of rows against PyTorch's own in fp64: outputs and all gradients."""

import pytest
import torch
from torch.nn import functional as F

from common.machine.precision import mixed_precision
from hifigan.convolutions.passes import IN_FP32, PRODUCTS, ChosenWeight, Geometry, Ways
from hifigan.convolutions.rows import are_rows, convolve_rows, convolve_transposed_rows, prepared_weight, to_rows

# Shape, output channels, taps, stride, padding, dilation, groups: columns, folded strides, blocks of several sizes,
# ends that no output sees, padding that is not a multiple of the stride, signals shorter than the kernel.
CASES = [
    ((3, 8, 97), 12, 5, 3, 2, 1, 1),
    ((3, 1, 97), 8, 15, 1, 7, 1, 1),
    ((2, 512, 20), 6, 5, 1, 2, 1, 1),
    ((2, 1, 3), 6, 5, 3, 2, 1, 1),
    ((2, 512, 13), 516, 5, 1, 2, 1, 1),
    ((2, 516, 9, 3), 512, 5, 1, 2, 1, 1),
    ((1, 512, 3, 2), 512, 3, 1, 1, 1, 1),
    ((2, 6, 31, 3), 8, 5, 3, 2, 1, 1),
    ((2, 4, 4, 7), 8, 5, 3, 2, 1, 1),
    ((2, 4, 37), 6, 3, 1, 6, 6, 1),
    ((2, 4, 37), 1, 7, 1, 3, 1, 1),
    ((3, 16, 101), 32, 41, 2, 20, 1, 4),
    ((3, 16, 100), 32, 41, 4, 20, 1, 4),
    ((3, 16, 101), 32, 41, 3, 20, 1, 4),
    ((3, 16, 50), 32, 7, 4, 1, 1, 2),
    ((2, 16, 5), 32, 41, 4, 20, 1, 4),
    ((2, 16, 33), 16, 41, 1, 20, 1, 4),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_rows_are_convolved_as_pytorch_does(case, dtype):
    shape, outputs, taps, stride, padding, dilation, groups = case
    torch.manual_seed(0)
    two = len(shape) == 4
    x = torch.randn(shape, dtype=dtype)
    weight = torch.randn(outputs, shape[1] // groups, taps, *([1] * two), dtype=dtype)
    inputs = [x, weight, torch.randn(outputs, dtype=dtype)]
    exact = [tensor.double().requires_grad_() for tensor in inputs]
    ours = [tensor.requires_grad_() for tensor in inputs]
    if two:
        expected = F.conv2d(*exact, (stride, 1), (padding, 0), (dilation, 1), groups)
    else:
        expected = F.conv1d(*exact, stride, padding, dilation, groups)
    geometry = Geometry(taps, stride, padding, dilation, groups)
    prepared = prepared_weight(weight, geometry)
    rows = to_rows(x)
    assert are_rows(rows)
    y = convolve_rows(rows, prepared, ours[2], geometry)
    error = torch.randn_like(expected)
    gradients = zip(
        (y, *torch.autograd.grad(y, ours, error.to(dtype))),
        (expected, *torch.autograd.grad(expected, exact, error)),
        strict=True,
    )
    for actual, reference in gradients:
        assert actual.shape == reference.shape
        tolerance = 2e-6 if dtype is torch.float32 else 2e-2
        assert (actual - reference).norm() <= tolerance * reference.norm()
    assert are_rows(y) or y.size(1) == 1 or y.size(2) == 1


@pytest.mark.parametrize("groups", [1, 4])
def test_a_layer_in_fp32_within_16_bits(groups):
    """It takes fp32's formulation and weight, between signals in 16 bits."""
    geometry, x = Geometry(41, 1, 20, 1, groups), to_rows(torch.randn(2, 16, 33))
    weight, bias = torch.randn(16, 16 // groups, 41).requires_grad_(), torch.randn(16)
    with mixed_precision(x.device):
        prepared = prepared_weight(weight, geometry, Ways(IN_FP32, IN_FP32, IN_FP32))
        y = convolve_rows(x.bfloat16(), prepared, bias, geometry)
    expected = convolve_rows(x.bfloat16().float(), prepared_weight(weight, geometry), bias, geometry)
    assert torch.equal(y, expected.bfloat16())
    (gradient,) = torch.autograd.grad(y.sum(), weight)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), weight)[0])


def test_chosen_ways_are_for_16_bits():
    geometry, ways = Geometry(5, 1, 2, 1, 1), Ways(PRODUCTS, PRODUCTS, PRODUCTS)
    weight = torch.randn(8, 8, 5)
    with mixed_precision(weight.device):
        assert isinstance(prepared_weight(weight, geometry, ways), ChosenWeight)
        assert not isinstance(prepared_weight(weight, geometry), ChosenWeight)
    assert torch.equal(prepared_weight(weight, geometry, ways), weight)


def test_transposed_convolution_of_rows():
    x, weight, bias = torch.randn(2, 6, 9), torch.randn(6, 4, 8), torch.randn(4)
    y = convolve_transposed_rows(to_rows(x), weight, bias, 4, 2)
    assert are_rows(y)
    torch.testing.assert_close(y, F.conv_transpose1d(x, weight, bias, 4, 2), rtol=1e-5, atol=1e-5)


def test_plain_signals_are_no_rows():
    assert not are_rows(torch.zeros(2, 3, 8))
    assert not are_rows(torch.zeros(2, 1, 8))
    assert are_rows(to_rows(torch.zeros(2, 1, 8)))
    assert to_rows(torch.arange(12.0).view(1, 3, 4)).tolist() == torch.arange(12.0).view(1, 3, 4).tolist()
