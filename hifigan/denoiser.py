"""Remove the generator's hum: subtract the spectrum of its output for an all-zero mel.

Shapes: B batch, T samples, L frames, F frequency bins.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hifigan.backend import Backend
from hifigan.generator import Generator
from hifigan.windows import windows

BIAS_FRAMES = 88  # length of the all-zero mel, as published. The first frame of the spectrum is used.
BLOCK_HOPS = 4096  # hops per block, which bounds the memory: 0.1 GB with a filter of 1024 samples


class Denoiser(nn.Module):
    """Spectral subtraction of the generator's bias.

    The bias comes from `generator(zeros)`. A zero mel is loud, not silent. This is the published choice, and the
    published strengths (around 0.005 to 0.1) refer to it.
    """

    bias_spec: Tensor
    window: Tensor

    def __init__(self, generator: Generator | Backend, filter_length: int = 1024) -> None:
        super().__init__()
        self.filter_length = filter_length + filter_length % 2  # an odd centred transform loses its last frame
        self.hop_length = generator.config.hop_length
        device = generator.device
        window = torch.hann_window(self.filter_length, device=device)
        self.register_buffer("window", window, persistent=False)
        mel = torch.zeros(1, generator.config.num_mels, BIAS_FRAMES, device=device)
        with torch.no_grad():
            spec = self._stft(generator(mel).float().view(1, -1))
        self.register_buffer("bias_spec", spec[:, :, :1].abs(), persistent=False)

    def forward(self, wav: Tensor, strength: float = 0.1) -> Tensor:
        """wav [B, T] -> [B, T'], T' = T in whole hops. With `strength` 0 nothing is subtracted."""
        hop, hops = self.hop_length, wav.size(1) // self.hop_length
        # A sample depends on the transforms that cover it, and so on a filter length on either side.
        context = -(-self.filter_length // hop)
        blocks = windows(hops, max(BLOCK_HOPS, 4 * context), context)
        if len(blocks) == 1:
            return self._denoised(wav, strength)
        denoised = wav.new_empty(wav.size(0), hops * hop, dtype=torch.float32)
        for block in blocks:
            # The last block includes the samples after the last whole hop, which the transform reflects.
            samples = wav[:, block.first * hop : block.last * hop if block.last < hops else None]
            kept = self._denoised(samples, strength)[
                :, (block.start - block.first) * hop : (block.end - block.first) * hop
            ]
            denoised[:, block.start * hop : block.end * hop] = kept
        return denoised

    def _denoised(self, wav: Tensor, strength: float) -> Tensor:
        spec = self._stft(wav.float())  # autocast runs Fourier transforms in fp32
        magnitude = spec.abs()
        # Scaling the complex value keeps its phase. Zero stays zero.
        gain = (magnitude - strength * self.bias_spec).clamp_min(0.0) / magnitude.clamp_min(1e-20)
        return self._istft(spec * gain)

    def _stft(self, wav: Tensor) -> Tensor:
        return torch.stft(
            wav, self.filter_length, self.hop_length, window=self.window, pad_mode="reflect", return_complex=True
        )

    def _istft(self, spec: Tensor) -> Tensor:
        """spec [B, F, L] -> wav [B, (L - 1) * hop]."""
        if spec.device.type == "cpu":
            return torch.istft(spec, self.filter_length, self.hop_length, window=self.window)
        return _istft_without_waiting(spec, self.filter_length, self.hop_length, self.window)


def _istft_without_waiting(spec: Tensor, filter_length: int, hop_length: int, window: Tensor) -> Tensor:
    """Compute `torch.istft`, which on GPUs waits to check that the windows overlap."""
    frames = torch.fft.irfft(spec, filter_length, dim=1) * window[:, None]
    weights = window.square()[:, None].expand(1, -1, spec.size(2))
    shape = {
        "output_size": (1, (spec.size(2) - 1) * hop_length + filter_length),
        "kernel_size": (1, filter_length),
        "stride": (1, hop_length),
    }
    wav, overlap = (F.fold(part, **shape)[:, 0, 0] for part in (frames, weights))
    half = filter_length // 2
    return wav[:, half:-half] / overlap[:, half:-half]


class ConvolutionalDenoiser(nn.Module):
    """A `Denoiser` of fixed strength as convolutions, for export formats without Fourier transforms.

    The transform is a convolution with windowed cosines and sines, with the hop as stride. Its inverse is the
    transposed convolution of the scaled bins, divided by the sum of the overlapping squared windows.

    Args:
        denoiser: provides bias and transform.
        strength: share of the bias to subtract.
    """

    basis: Tensor
    scale: Tensor
    squared_window: Tensor
    bias: Tensor

    def __init__(self, denoiser: Denoiser, strength: float) -> None:
        super().__init__()
        size = denoiser.filter_length
        self.hop_length = denoiser.hop_length
        self.margin = size // 2
        window = denoiser.window.double()
        positions = torch.arange(size, device=window.device)
        bins = torch.arange(size // 2 + 1, device=window.device)[:, None]
        angles = 2 * math.pi / size * (bins * positions % size)
        basis = torch.cat([angles.cos(), -angles.sin()]) * window  # [2F, size]
        # Each bin of a real signal counts twice, except the first, and the last of an even size.
        scale = (2.0 - (bins * 2 % size == 0).double()) / size
        self.register_buffer("basis", basis.float()[:, None])
        self.register_buffer("scale", scale.float())
        self.register_buffer("squared_window", window.square().float()[None, None])
        self.register_buffer("bias", strength * denoiser.bias_spec)

    def forward(self, wav: Tensor) -> Tensor:
        """wav [B, T] -> [B, T'], T' = T in whole hops. T must be above half the filter length."""
        # On GPUs, PyTorch convolves fp32 in TF32 by default, whose 11 bits are audible as noise. Compiled code cannot
        # read the settings. Other exports leave it to their runtimes.
        dtype = torch.float64 if torch.jit.is_scripting() and wav.is_cuda else torch.float32
        basis = self.basis.to(dtype)
        padded = F.pad(wav.to(dtype).unsqueeze(1), (self.margin, self.margin), mode="reflect")
        spec = F.conv1d(padded, basis, stride=self.hop_length)
        real, imag = spec.chunk(2, dim=1)
        magnitude = torch.sqrt(real * real + imag * imag)
        gain = self.scale * (magnitude - self.bias).clamp_min(0.0) / magnitude.clamp_min(1e-20)
        summed = F.conv_transpose1d(spec * torch.cat([gain, gain], dim=1), basis, stride=self.hop_length)
        frames = torch.ones_like(gain[:1, :1])
        overlap = F.conv_transpose1d(frames, self.squared_window.to(dtype), stride=self.hop_length)
        # Cut the reflected ends before the division, since too few windows overlap there.
        margin = self.margin
        return (summed[:, :, margin:-margin] / overlap[:, :, margin:-margin]).squeeze(1).float()
