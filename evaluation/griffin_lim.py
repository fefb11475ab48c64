"""Audio from a linear spectrogram by the algorithm of Griffin and Lim (1984).

Shapes: F frames, K = filter_length / 2 + 1 bins, T samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from common.audio import AudioConfig

GRIFFIN_LIM_ITERATIONS = 60
SMALLEST_WEIGHT = torch.finfo(torch.float64).tiny


class GriffinLim:
    """Short-time Fourier transform of an audio configuration, its least-squares inverse, and the search for phases."""

    def __init__(self, audio: AudioConfig) -> None:
        self.filter_length, self.hop_length = audio.filter_length, audio.hop_length
        window = torch.hann_window(audio.win_length, dtype=torch.float64)
        margin = audio.filter_length - audio.win_length
        self.window = torch.nn.functional.pad(window, (margin // 2, margin - margin // 2))

    def __call__(self, magnitude: Tensor, seed: int) -> Tensor:
        """Return audio [T] whose spectrum has about the magnitude [F, K], starting from random phases."""
        generator = torch.Generator().manual_seed(seed)
        phases = 2 * math.pi * torch.rand(magnitude.shape, generator=generator, dtype=torch.float64)
        spectrum = torch.polar(magnitude.double(), phases)
        for _ in range(GRIFFIN_LIM_ITERATIONS):
            found = self.transform(self.invert(spectrum))
            spectrum = torch.polar(magnitude.double(), found.angle())
        return self.invert(spectrum)

    def transform(self, wav: Tensor) -> Tensor:
        """Return the spectrum [F, K] of audio [T], without padding."""
        return torch.fft.rfft(wav.unfold(0, self.filter_length, self.hop_length) * self.window)

    def invert(self, spectrum: Tensor) -> Tensor:
        """Return the audio [T] whose spectrum has the least squared distance to [F, K] (equation 6)."""
        frames = torch.fft.irfft(spectrum, n=self.filter_length) * self.window
        weights = self._overlap_add(self.window.square().expand_as(frames))
        wav = self._overlap_add(frames)
        return torch.where(weights > SMALLEST_WEIGHT, wav / weights, wav)

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """Return the sum [T] of frames [F, filter_length], each a hop after the one before."""
        samples = self.filter_length + (len(frames) - 1) * self.hop_length
        kernel = (1, self.filter_length)
        summed = torch.nn.functional.fold(frames.T[None], (1, samples), kernel, stride=(1, self.hop_length))
        return summed.flatten()
