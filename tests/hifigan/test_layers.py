"""Weight norm and spectral norm: computed once for several calls, in rows and in 16 bits."""

import copy

import pytest
import torch

from hifigan.convolutions.rows import to_rows
from hifigan.layers import SpectralNormConv1d, WeightNormConv1d, cache_weights


@pytest.mark.parametrize("layout", [to_rows, torch.clone])
def test_kept_weights_are_computed_once_with_the_same_gradients(layout, monkeypatch):
    torch.manual_seed(0)
    layer = WeightNormConv1d(512, 2, 3, padding=1)
    x, y = torch.randn(2, 1, 512, 8).unbind()
    (layer(layout(x)).sum() + layer(layout(y)).square().sum()).backward()
    expected = {name: parameter.grad.clone() for name, parameter in layer.named_parameters()}
    layer.zero_grad()
    computed = []
    weight_norm = torch._weight_norm
    monkeypatch.setattr(torch, "_weight_norm", lambda *given: computed.append(1) or weight_norm(*given))
    with cache_weights(layer):
        loss = layer(layout(x)).sum() + layer(layout(y)).square().sum()
    loss.backward()
    assert len(computed) == 1
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-5, atol=1e-5)
    layer(layout(x))
    assert len(computed) == 2, "not kept outside"


@pytest.mark.parametrize("signals", [1, 2])
def test_shared_weights_with_spectral_norm(signals):
    torch.manual_seed(0)
    layer = SpectralNormConv1d(256, 1024, 5, padding=2)
    plain = copy.deepcopy(layer)
    x = torch.randn(4, 256, 9)
    errors = torch.randn(4, 1024, 9)
    expected = torch.cat([plain(x[:2]), plain(x[2:])])
    expected.backward(errors)
    with cache_weights(layer):
        rows = to_rows(x)
        parts = [rows] if signals == 2 else [rows[:2], rows[2:]]
        y = torch.cat([layer(part, signals) for part in parts])
        assert layer.cached_prepared is not None
    y.backward(errors)
    assert layer.cached_prepared is None
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(parameter.grad, plain.get_parameter(name).grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.state_dict(), plain.state_dict())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_each_signal_has_its_own_sigma_in_half_precision(dtype):
    torch.manual_seed(0)
    layer = SpectralNormConv1d(4, 6, 3)
    with torch.no_grad():
        layer.weight_u.copy_(torch.nn.functional.normalize(torch.randn(6), dim=0))  # far from converged
    apart = copy.deepcopy(layer)
    x, y = torch.randn(2, 3, 4, 50).unbind()
    expected = torch.cat([apart(x), apart(y)])
    with torch.autocast("cpu", dtype):
        result = layer(torch.cat([x, y]), signals=2)
    assert result.dtype == dtype
    assert (result.float() - expected).norm() < 4e-3 * expected.norm()
    shared = torch.cat([x, y]), copy.deepcopy(apart).eval()
    assert (shared[1](shared[0]) - expected).norm() > 1e-2 * expected.norm()  # one sigma for both would be seen


def test_evaluation_ignores_what_was_computed_for_training():
    conv = SpectralNormConv1d(4, 8, 3).eval()
    x = torch.randn(2, 4, 9)
    expected = conv(x)
    conv.sigmas = torch.tensor([100.0, 100.0])
    assert torch.equal(conv(x), expected)
