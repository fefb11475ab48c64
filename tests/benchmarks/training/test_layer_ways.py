"""All ways to compute a layer, from which a benchmark on a GPU chooses, give the same results."""

import pytest
import torch

from benchmarks.training.layer_ways import layers, measured, ways

LAYERS = layers(1024)
CHOSEN = [layer for layer in LAYERS if "period 3" in layer.name or "scale 2" in layer.name]


def test_all_hidden_layers_are_there():
    assert len(LAYERS) == 5 * 5 + 3 * 7
    by_name = {layer.name: layer for layer in layers(8192)}
    assert by_name["MPD, period 2, layer 2"].signal == (32, 1366, 2)
    assert by_name["MSD, scale 2, layer 3"].signal == (128, 2048)
    assert by_name["MSD, scale 2, layer 3"].weight == (256, 8, 41)


@pytest.mark.parametrize("layer", CHOSEN, ids=lambda layer: layer.name)
def test_all_ways_are_the_same_convolution(layer):
    """Compares outputs and gradients in fp64 with PyTorch's."""
    torch.manual_seed(0)
    x = torch.randn(2, *layer.signal, dtype=torch.float64)
    weight = torch.randn(layer.weight, dtype=torch.float64, requires_grad=True)
    signal = x.clone().requires_grad_()
    if layer.period:
        y = torch.nn.functional.conv2d(signal, weight[..., None], None, (layer.stride, 1), (layer.padding, 0))
    else:
        y = torch.nn.functional.conv1d(signal, weight, None, layer.stride, layer.padding, 1, layer.groups)
    grad = torch.randn_like(y)
    expected = y, *torch.autograd.grad(y, (signal, weight), grad)
    found = ways(layer)
    assert len(found) == (4 if layer.period else 5 if layer.groups > 1 else 2)
    for name, way in found.items():
        signal = x.clone().requires_grad_()
        y = way.usual(way.convolve(way.laid_out(signal, layer), weight, layer), layer)
        tolerance = 1e-4 if name == "fp32" else 1e-10
        for ours, theirs in zip((y, *torch.autograd.grad(y, (signal, weight), grad)), expected, strict=True):
            assert ours.shape == theirs.shape, name
            assert (ours - theirs).norm() <= tolerance * theirs.norm(), name


def test_a_way_that_fails_has_no_time(monkeypatch):
    layer = next(layer for layer in LAYERS if layer.name == "MPD, period 11, layer 1")
    seconds = measured(layer, 1, torch.float32, torch.device("cpu"))
    assert all(value > 0 for value in seconds.values())

    def fails(*_):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(torch.nn.functional, "conv1d", fails)
    seconds = measured(layer, 1, torch.float32, torch.device("cpu"))
    assert [name for name, value in seconds.items() if value is None] == ["period in the batch"]
