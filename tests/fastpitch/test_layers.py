"""Masks, and layers that see zeros beyond an item's end."""

import math

import torch

from fastpitch.config import PredictorConfig
from fastpitch.layers import Predictor, length_mask, linear_in_fp32, zero_padding


def test_masks_cover_each_items_own_length():
    assert length_mask(torch.tensor([0, 2, 3]), 3).int().tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_padding_becomes_zero_even_where_it_is_not_finite():
    x = torch.tensor([[[1.0], [math.nan], [math.inf]]])
    assert zero_padding(x, torch.tensor([[True, False, False]])).flatten().tolist() == [1, 0, 0]


@torch.no_grad()
def test_a_prediction_does_not_depend_on_the_padding():
    torch.manual_seed(0)
    predictor = Predictor(4, PredictorConfig(n_layers=2, kernel_size=3, filter_size=8, dropout=0.0)).eval()
    x = torch.randn(1, 5, 4)
    alone = predictor(x[:, :3], torch.ones(1, 3, dtype=torch.bool))
    padded = predictor(x, length_mask(torch.tensor([3]), 5))
    torch.testing.assert_close(padded[:, :3], alone)
    assert not padded[:, 3:].any()


def test_last_layers_are_computed_in_fp32_under_autocast():
    x, weight, bias = torch.randn(2, 8), torch.randn(3, 8), torch.randn(3)
    with torch.autocast("cpu", torch.bfloat16):
        y = linear_in_fp32(x, weight, bias)
    torch.testing.assert_close(y, x @ weight.T + bias)


def test_last_layers_and_their_gradients_are_exact_whatever_products_are_allowed(matmul_precision):
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(shape, generator=generator) for shape in ((2, 30, 384), (80, 384), (80,))]
    leaves = [x.clone().requires_grad_() for x in given]
    doubles = [x.double().requires_grad_() for x in given]
    with torch.autocast("cpu", torch.bfloat16):
        y = linear_in_fp32(*leaves)
    truth = torch.nn.functional.linear(*doubles)
    torch.testing.assert_close(y.double(), truth, rtol=0, atol=1e-4)
    y.square().sum().backward()
    truth.square().sum().backward()
    for leaf, double in zip(leaves, doubles, strict=True):
        assert leaf.grad.dtype is torch.float32
        assert (leaf.grad - double.grad).norm() < 1e-5 * double.grad.norm()


def test_scripted_last_layers_stay_in_fp32_on_cpus():
    x, weight, bias = torch.randn(2, 8), torch.randn(3, 8), torch.randn(3)
    assert torch.equal(torch.jit.script(linear_in_fp32)(x, weight, bias), torch.nn.functional.linear(x, weight, bias))
