"""Weights of all layers in one launch equal PyTorch's operators layer by layer, and so do their gradients."""

import copy

import pytest
import torch
from torch import nn

pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="interpreted only without a GPU")

from hifigan.gpu.weight_kernels import BLOCK  # noqa: E402
from hifigan.gpu.weight_norm import AllWeights, check  # noqa: E402
from hifigan.layers import (  # noqa: E402
    SpectralNormConv1d,
    WeightNormConv1d,
    WeightNormConv2d,
    WeightNormConvTranspose1d,
)
from tests.support.gpu.triton_compile import Kernel, compile_kernels  # noqa: E402

TOLERANCE = {torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}  # relative


def odd_layers() -> nn.ModuleList:
    torch.manual_seed(0)
    return nn.ModuleList(
        [
            WeightNormConv1d(3, 5, 7),
            WeightNormConv1d(1, 1, 1),
            WeightNormConv1d(700, 2, 3, bias=False),  # rows of several blocks
            WeightNormConv2d(1, 9, (5, 1)),
            WeightNormConvTranspose1d(6, 3, 4, stride=2),
            SpectralNormConv1d(67, 33, 5),  # longer than a row
            SpectralNormConv1d(8, 4, 41, groups=4, bias=False),
        ]
    )


def weights_and_gradients(layers, dtype, shared):
    """Return the weights and the gradients of their parameters."""
    torch.manual_seed(1)
    results = {}
    with shared, torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        for name, layer in layers.named_children():
            spectral = isinstance(layer, SpectralNormConv1d)
            original = layer.weight_orig if spectral else layer.weight_of_call()
            results[f"{name}.weight"] = layer.ready if layer.ready is not None else original.to(dtype)
    loss = sum((value.float() * torch.randn(value.shape).to(dtype)).sum() for value in results.values())
    loss.backward()
    return results | {name: p.grad for name, p in layers.named_parameters() if p.grad is not None}


@pytest.mark.medium
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_weights_and_gradients_equal_those_of_pytorch(dtype):
    layers = odd_layers()
    plain = copy.deepcopy(layers)
    actual = weights_and_gradients(layers, dtype, AllWeights([layers], dtype).shared())
    expected = weights_and_gradients(plain, dtype, torch.enable_grad())
    assert actual.keys() == expected.keys()
    parameters = dict(layers.named_parameters())
    for name, value in expected.items():
        if name not in parameters:
            assert actual[name].dtype == dtype, name
        difference = (actual[name].float() - value.float()).norm()
        assert difference <= TOLERANCE[dtype] * value.float().norm() + 1e-6, name


@pytest.mark.medium
def test_the_result_does_not_vary():
    layers = odd_layers()
    runs = []
    for _ in range(2):
        layers.zero_grad()
        runs.append(weights_and_gradients(layers, torch.bfloat16, AllWeights([layers], torch.bfloat16).shared()))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_layers_compute_with_the_shared_weights_of_all_calls():
    torch.manual_seed(0)
    layer = WeightNormConv1d(4, 6, 3)
    plain = copy.deepcopy(layer)
    x, y = torch.randn(2, 2, 4, 20).unbind()
    weights = AllWeights([layer], torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        with weights.shared():
            assert layer.ready is not None
            actual = [layer(x), layer(y)]
        assert layer.ready is None, "not kept outside"
        expected = [plain(x), plain(y)]
    for results in (actual, expected):
        (results[0].float().sum() + results[1].float().square().sum()).backward()
        assert results[0].dtype == torch.bfloat16
    for one, other in zip(actual, expected, strict=True):
        assert (one.float() - other.float()).norm() < 1e-2 * other.float().norm()
    for one, other in zip(layer.parameters(), plain.parameters(), strict=True):
        assert (one.grad - other.grad).norm() < 1e-2 * other.grad.norm()


def test_layers_outside_autocast_compute_in_fp32():
    torch.manual_seed(0)
    layers = nn.ModuleList([WeightNormConv1d(4, 6, 3), WeightNormConv1d(6, 1, 3)])
    plain = copy.deepcopy(layers)
    x = torch.randn(2, 4, 20)
    with AllWeights([layers], torch.bfloat16).shared():
        y = layers[1](x.new_ones(2, 6, 20))
    expected = plain[1](x.new_ones(2, 6, 20))
    assert torch.equal(y, expected)
    y.sum().backward()
    expected.sum().backward()
    assert torch.equal(layers[1].weight_v.grad, plain[1].weight_v.grad)
    assert layers[0].weight_v.grad is None


@pytest.mark.medium
def test_unused_weights_have_no_gradient():
    layers = nn.ModuleList([WeightNormConv1d(4, 6, 3), WeightNormConv1d(6, 1, 3)])
    with AllWeights([layers], torch.float32).shared():
        used = layers[1].weight_of_call()
    used.square().sum().backward()
    assert layers[0].weight_v.grad is None
    assert layers[0].weight_g.grad is None
    # ||w|| is g, so the gradient of ||w||^2 is 2 g, and that of the direction 0
    torch.testing.assert_close(layers[1].weight_g.grad, 2 * layers[1].weight_g.detach())
    torch.testing.assert_close(layers[1].weight_v.grad, torch.zeros(1, 6, 3), rtol=0, atol=1e-6)


def test_frozen_weights_have_no_graph():
    layer = WeightNormConv1d(4, 6, 3).requires_grad_(False)
    with AllWeights([layer], torch.float32).shared():
        assert not layer.weight_of_call().requires_grad


def test_parameters_in_new_memory_are_found():
    layer = WeightNormConv1d(4, 6, 3)
    weights = AllWeights([layer], torch.float32)
    with weights.shared():
        before = layer.weight_of_call()
    kept = [layer.weight_v, layer.weight_g]  # so that the new ones lie elsewhere
    layer.weight_v = nn.Parameter(2 * kept[0].detach())
    layer.weight_g = nn.Parameter(3 * kept[1].detach())
    with weights.shared():
        after = layer.weight_of_call()
    torch.testing.assert_close(after, 3 * before)


@pytest.mark.medium
def test_the_check_before_use_passes_and_fails(monkeypatch):
    check(torch.device("cpu"))
    weight_norm = torch._weight_norm
    monkeypatch.setattr(torch, "_weight_norm", lambda *given: 1.02 * weight_norm(*given))
    with pytest.raises(AssertionError):
        check(torch.device("cpu"))


@pytest.mark.slow
def test_kernels_fit_into_registers_of_gpus():
    pointers = {"weights": "*i64", "rows": "*i32", "lengths": "*fp32", "BLOCK": BLOCK}
    kernels = [
        kernel
        for dtype in ("fp32", "fp16", "bf16")
        for kernel in (
            Kernel("hifigan.gpu.weight_kernels", "write_weights", pointers | {"flat": f"*{dtype}"}),
            Kernel(
                "hifigan.gpu.weight_kernels",
                "write_gradients",
                pointers | {"packed": f"*{dtype}", "grad_v": "*fp32", "grad_g": "*fp32"},
            ),
        )
    ]
    costs = compile_kernels(kernels)
    assert len(costs) == 12
    for cost in costs:
        assert cost.spilled_bytes == 0, cost.name
        assert cost.registers <= 64, cost.name
