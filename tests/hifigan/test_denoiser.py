"""The denoiser in blocks against all at once."""

import pytest
import torch

from hifigan import Denoiser
from hifigan.denoiser import _istft_without_waiting
from tests.support.models import TINY
from tests.support.weights import by_rule


@pytest.mark.parametrize(("filter_length", "hop_length"), [(1024, 256), (1000, 300), (600, 256)])
def test_long_audio_is_denoised_in_blocks(monkeypatch, filter_length, hop_length):
    monkeypatch.setattr("hifigan.denoiser.BLOCK_HOPS", 30)
    denoiser = Denoiser(by_rule(TINY), filter_length)
    denoiser.hop_length = hop_length
    whole_blocks = 30 - 2 * -(-denoiser.filter_length // hop_length)
    for samples in (30 * hop_length, 31 * hop_length - 1, 31 * hop_length, 100 * hop_length + 7, whole_blocks * 300):
        wav = torch.randn(2, samples, generator=torch.Generator().manual_seed(samples)) * 0.1
        made, whole = denoiser(wav, 0.02), denoiser._denoised(wav, 0.02)
        assert (whole - wav[:, : whole.size(1)]).abs().max() > 1e-3
        torch.testing.assert_close(made, whole, rtol=0, atol=1e-6)


def test_the_denoiser_does_not_depend_on_the_precision_of_products(matmul_precision):
    wav = torch.randn(2, 8192, generator=torch.Generator().manual_seed(0)) * 0.1
    denoiser = Denoiser(by_rule(TINY))
    denoiser.bias_spec.fill_(1.0)
    made = denoiser(wav, 0.5)
    torch.set_float32_matmul_precision("highest")
    assert torch.equal(made, denoiser(wav, 0.5))
    assert (made - wav[:, : made.size(1)]).abs().max() > 1e-3


@pytest.mark.parametrize(("filter_length", "hop_length"), [(1024, 256), (1000, 300), (600, 256)])
def test_the_inverse_transform_of_gpus_equals_that_of_pytorch(filter_length, hop_length):
    wav = torch.randn(2, 20 * hop_length, generator=torch.Generator().manual_seed(0))
    window = torch.hann_window(filter_length)
    spec = torch.stft(wav, filter_length, hop_length, window=window, return_complex=True)
    spec = spec * torch.linspace(0, 1, spec.size(1))[:, None]  # not the transform of any signal
    expected = torch.istft(spec, filter_length, hop_length, window=window)
    made = _istft_without_waiting(spec, filter_length, hop_length, window)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
