"""Convolutions with fewer multiplications against PyTorch's own in fp64: outputs and gradients."""

import pytest
import torch
from torch.nn import functional as F

from hifigan.convolutions.winograd import MAX_TAPS_AT_POINTS, convolve, pays, transformed_weight

# Input channels, output channels, taps, stride, padding, groups.
CASES = [
    (8, 6, 3, 1, 1, 1),  # at small numbers
    (8, 6, MAX_TAPS_AT_POINTS, 1, 2, 1),
    (8, 6, 5, 3, 2, 1),  # two taps once the stride is folded into the channels
    (8, 8, 41, 4, 20, 2),  # at roots of unity
    (8, 8, 41, 1, 20, 4),
]


@pytest.mark.parametrize("length", [7, 64, 131])
@pytest.mark.parametrize("case", CASES)
def test_equals_pytorch(case, length):
    inputs, outputs, taps, stride, padding, groups = case
    torch.manual_seed(0)
    parts = torch.randn(2, inputs, length), torch.randn(outputs, inputs // groups, taps), torch.randn(outputs)
    x, weight, bias = ours = [part.requires_grad_() for part in parts]
    exact = [part.detach().double().requires_grad_() for part in parts]
    y = convolve(x, transformed_weight(weight, stride), bias, taps, stride, padding, groups)
    expected = F.conv1d(*exact, stride, padding, 1, groups)
    error = torch.randn_like(expected)
    for actual, reference in zip(
        (y, *torch.autograd.grad(y, ours, error.float())),
        (expected, *torch.autograd.grad(expected, exact, error)),
        strict=True,
    ):
        assert actual.shape == reference.shape
        assert (actual - reference).norm() <= 5e-6 * reference.norm()


def test_where_it_pays():
    wide, grouped = torch.zeros(512, 512, 5), torch.zeros(16, 4, 41)
    assert pays(wide, 1, 1, 1)
    assert pays(grouped, 4, 1, 4)
    assert not pays(wide.bfloat16(), 1, 1, 1)
    assert not pays(wide, 3, 1, 1)
    assert not pays(wide, 1, 2, 1)
    assert not pays(torch.zeros(512, 256, 5), 1, 1, 1)
