"""Generator and denoiser in one module."""

import pytest
import torch

from hifigan import Denoiser
from hifigan.engine.cpu_c import lacks_bf16
from hifigan.vocoder_module import VocoderModule
from tests.support.models import TINY
from tests.support.programs import snr_db
from tests.support.weights import by_rule

MEL = torch.randn(2, 80, 20, generator=torch.Generator().manual_seed(0)) * 2 - 5


@torch.no_grad()
def test_it_is_the_generator_and_the_denoiser():
    generator = by_rule(TINY)
    plain = generator(MEL).squeeze(1)
    torch.testing.assert_close(VocoderModule(generator)(MEL), plain)
    denoised = Denoiser(generator)(plain, 0.05)
    assert (denoised - plain).abs().max() > 1e-3
    torch.testing.assert_close(VocoderModule(generator, denoising_strength=0.05)(MEL), denoised, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_the_first_two_layers_and_the_last_stay_in_fp32(precision):
    generator = by_rule(TINY)
    module = VocoderModule(generator, precision)
    inner = module.generator
    for layer in (inner.conv_pre, inner.ups[0], inner.conv_post):
        assert layer.bias.dtype == torch.float32
    assert inner.ups[1].bias.dtype == module.dtype
    assert generator.ups[1].bias.dtype == torch.float32, "the generator itself was changed"
    wav = module(MEL)
    assert wav.dtype == torch.float32
    exact = generator(MEL).squeeze(1)
    assert snr_db(exact, wav) > 38
    if not lacks_bf16():  # emulated bf16 rounds more often
        assert (wav - exact).abs().max() < 0.05
