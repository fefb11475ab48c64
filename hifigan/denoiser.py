"""Removes the generator's own hum: the spectrum it makes of an all-zero mel is subtracted from its output."""

import torch
from torch import Tensor, nn

from hifigan.generator import Generator

BIAS_FRAMES = 88  # length of the all-zero mel; the first frame of its spectrum is used, as published


class Denoiser(nn.Module):
    """Spectral subtraction of the generator's bias.

    The bias is taken from `generator(zeros)`. Zeros are a loud mel, not silence: the published choice, to which
    the published strengths (around 0.005 to 0.1) belong.
    """

    bias_spec: Tensor
    window: Tensor

    def __init__(self, generator: Generator, filter_length: int = 1024) -> None:
        super().__init__()
        self.filter_length = filter_length + filter_length % 2  # an odd centred transform loses its last frame
        self.hop_length = generator.config.hop_length
        weight = next(generator.parameters())
        window = torch.hann_window(self.filter_length, device=weight.device)
        self.register_buffer("window", window, persistent=False)
        mel = torch.zeros(1, generator.num_mels, BIAS_FRAMES, device=weight.device, dtype=weight.dtype)
        with torch.no_grad():
            spec = self._stft(generator(mel).float().squeeze(1))
        self.register_buffer("bias_spec", spec[:, :, :1].abs(), persistent=False)

    def forward(self, wav: Tensor, strength: float = 0.1) -> Tensor:
        """wav [B, T] -> [B, T'], T' = T in whole hops; `strength` 0 is the identity on these."""
        spec = self._stft(wav.float())  # autocast leaves Fourier transforms in fp32
        magnitude = spec.abs()
        # Scaling the complex value keeps its phase; where the magnitude is 0, the result is 0 as well.
        gain = (magnitude - strength * self.bias_spec).clamp_min(0.0) / magnitude.clamp_min(1e-20)
        return torch.istft(spec * gain, self.filter_length, self.hop_length, window=self.window)

    def _stft(self, wav: Tensor) -> Tensor:
        return torch.stft(
            wav, self.filter_length, self.hop_length, window=self.window, pad_mode="reflect", return_complex=True
        )
