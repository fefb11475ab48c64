"""Generator and denoiser as one module in a given precision, for exports and for GPUs."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from common.machine.precision import DTYPES
from hifigan.denoiser import ConvolutionalDenoiser, Denoiser
from hifigan.generator import Generator


class VocoderModule(nn.Module):
    """Generator and denoiser: mel [B, M, L] -> wav [B, T], both float32 whatever the precision inside.

    Args:
        generator: in evaluation mode, weight norm removed. It is copied.
        precision: key of `DTYPES`. The first two layers stay in fp32 because the phase depends on them, the last one
            because samples of 8 or 11 bits are audible as noise.
        denoising_strength: above 0, the denoiser follows in fp32.
        filter_length: FFT size of the denoiser, in samples.
    """

    def __init__(
        self, generator: Generator, precision: str = "fp32", denoising_strength: float = 0.0, filter_length: int = 1024
    ) -> None:
        super().__init__()
        self.denoiser: nn.Module = nn.Identity()
        if denoising_strength > 0:
            self.denoiser = ConvolutionalDenoiser(Denoiser(generator, filter_length), denoising_strength)
        self.dtype = DTYPES[precision]
        self.generator = copy.deepcopy(generator).requires_grad_(False).to(self.dtype)
        for layer in (
            self.generator.normalise,
            self.generator.conv_pre,
            self.generator.ups[0],
            self.generator.conv_post,
        ):
            layer.float()

    def forward(self, mel: Tensor) -> Tensor:
        hidden = self.generator.refined(self.generator.upsampled(mel).to(self.dtype))
        return self.denoiser(self.generator.output(hidden.float()).squeeze(1))
