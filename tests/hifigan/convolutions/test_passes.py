"""Ways of each pass of a convolution against PyTorch's own in fp64: outputs and all gradients."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from hifigan.convolutions import passes
from hifigan.convolutions.passes import CONVOLUTION, PRODUCTS, ChosenWeight, Geometry, Ways, convolve_chosen
from hifigan.convolutions.rows import to_rows
from hifigan.layers import WeightNormConv1d, WeightNormConv2d

# Shape, output channels, geometry: columns, phases of a stride without taps, dilation, padding that is not a multiple
# of the stride, ends that no output sees, signals shorter than the kernel.
CASES = [
    ((3, 8, 37), 12, Geometry(5, 3, 2, 1, 1)),
    ((3, 1, 97), 8, Geometry(15, 1, 7, 1, 1)),
    ((2, 8, 31, 3), 12, Geometry(5, 3, 2, 1, 2)),
    ((2, 8, 13, 2), 12, Geometry(5, 1, 2, 1, 1)),
    ((2, 4, 37), 6, Geometry(3, 1, 6, 6, 1)),
    ((2, 8, 11), 8, Geometry(2, 3, 0, 1, 1)),
    ((2, 16, 50), 32, Geometry(7, 4, 1, 1, 2)),
    ((2, 16, 5), 32, Geometry(41, 4, 20, 1, 4)),
    ((2, 16, 33), 16, Geometry(41, 1, 20, 1, 4)),
]
SHORTER_THAN_STRIDE = ((2, 8, 2), 8, Geometry(5, 3, 2, 1, 1))  # PyTorch's own gradient in bf16 is wrong there
ALL_WAYS = [Ways(*ways) for ways in itertools.product((CONVOLUTION, PRODUCTS), repeat=3)]


def relative_errors(case, ways, dtype):
    """Return the relative errors of output and gradients of input, weight and bias, for inputs that are exact."""
    shape, outputs, geometry = case
    torch.manual_seed(0)
    x = to_rows(torch.randn(shape).bfloat16().to(dtype))
    weight = torch.randn(outputs, shape[1] // geometry.groups, geometry.taps, *([1] * (len(shape) - 3)))
    weight = weight.bfloat16().float()
    inputs = [part.requires_grad_() for part in (x, weight, torch.randn(outputs).bfloat16().float())]
    exact = [part.detach().double().requires_grad_() for part in inputs]
    stride, padding, dilation = geometry.stride, geometry.padding, geometry.dilation
    if len(shape) == 4:
        expected = F.conv2d(*exact, (stride, 1), (padding, 0), (dilation, 1), geometry.groups)
    else:
        expected = F.conv1d(*exact, stride, padding, dilation, geometry.groups)
    y = convolve_chosen(inputs[0], ChosenWeight(inputs[1], geometry, ways, dtype), inputs[2])
    error = torch.randn_like(expected).bfloat16().double()
    found = (y, *torch.autograd.grad(y, inputs, error.to(dtype)))
    references = (expected, *torch.autograd.grad(expected, exact, error))
    for actual, reference in zip(found, references, strict=True):
        assert actual.shape == reference.shape
    return [float((a - r).detach().norm() / r.detach().norm()) for a, r in zip(found, references, strict=True)]


@pytest.mark.parametrize("ways", ALL_WAYS)
@pytest.mark.parametrize("case", [*CASES, SHORTER_THAN_STRIDE])
def test_every_way_equals_pytorch(case, ways):
    assert max(relative_errors(case, ways, torch.float32)) < 2e-6


@pytest.mark.parametrize("ways", ALL_WAYS)
@pytest.mark.parametrize("case", CASES)
def test_no_way_is_less_exact_than_pytorch_in_bf16(case, ways):
    usual = relative_errors(case, Ways(CONVOLUTION, CONVOLUTION, CONVOLUTION), torch.bfloat16)
    for error, of_pytorch in zip(relative_errors(case, ways, torch.bfloat16), usual, strict=True):
        assert error < 1.1 * of_pytorch + 1e-6


def test_products_in_bf16_of_a_signal_shorter_than_the_stride():
    assert max(relative_errors(SHORTER_THAN_STRIDE, ALL_WAYS[-1], torch.bfloat16)) < 0.01


@pytest.mark.parametrize("ways", [ALL_WAYS[0], ALL_WAYS[-1]])
def test_columns_that_are_gathered_in_parts(ways, monkeypatch):
    whole = relative_errors(CASES[6], ways, torch.float32)
    monkeypatch.setattr(passes, "COLUMN_ELEMENTS", 300)  # a part of an item
    monkeypatch.setattr(passes, "COLUMNS_PER_WEIGHT", 0)
    monkeypatch.setattr(passes, "COLUMNS_PER_WEIGHT_GRADIENT", 0)
    parts = relative_errors(CASES[6], ways, torch.float32)
    assert max(parts) < 2e-6
    assert (parts == whole) == (ways == ALL_WAYS[0]), "only products have parts"


def test_frozen_weights_have_no_gradient():
    x = to_rows(torch.randn(2, 8, 20)).requires_grad_()
    weight = ChosenWeight(torch.randn(4, 8, 3), Geometry(3, 1, 1, 1, 1), ALL_WAYS[-1], torch.bfloat16)
    convolve_chosen(x, weight, None).sum().backward()
    assert x.grad is not None
    assert weight.weight.grad is None


def test_geometry_of_a_layer():
    assert Geometry.of(WeightNormConv1d(4, 8, 5, 3, 2, 1, 2)) == Geometry(5, 3, 2, 1, 2)
    conv = WeightNormConv2d(4, 8, (5, 1), (3, 1), (2, 0))
    assert Geometry.of(conv) == Geometry(5, 3, 2, 1, 1)
    assert Geometry.of(conv).places(20) == conv(torch.zeros(1, 4, 20, 2)).size(2)
