"""Waveforms and mel spectrograms.

Shapes: B batch, T samples, L frames, M mel bands, F frequency bins.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.audio_config import LOG_FLOOR, OUR_MELS, AudioConfig, MelConvention
from common.errors import InputError
from common.machine.precision import exact_format
from common.machine.pytorch.determinism import reflect

SILENCE = math.log(LOG_FLOOR)  # log mel of digital silence (0 would be loud)
_KNEE_HZ, _MELS_PER_HZ, _MELS_PER_LOG = 1000.0, 3 / 200, 27 / math.log(6.4)  # of Slaney's mel scale
_KNEE_MEL = _KNEE_HZ * _MELS_PER_HZ
BLOCK_FRAMES = 2048  # longer mels are computed in blocks, which bounds the memory


def _pad_with_zeros(wav: Tensor, before: int, after: int) -> Tensor:
    return F.pad(wav, (before, after))


def hz_to_mel(hz: float) -> float:
    """Convert to Slaney's mel scale (Auditory Toolbox, 1998).

    It has 3 mels per 200 Hz up to 1 kHz, and above that 27 mels per factor of 6.4.
    """
    return hz * _MELS_PER_HZ if hz < _KNEE_HZ else _KNEE_MEL + math.log(hz / _KNEE_HZ) * _MELS_PER_LOG


def mel_to_hz(mels: np.ndarray) -> np.ndarray:
    """Convert from Slaney's mel scale."""
    return np.where(mels < _KNEE_MEL, mels / _MELS_PER_HZ, _KNEE_HZ * np.exp((mels - _KNEE_MEL) / _MELS_PER_LOG))


def mel_filters(config: AudioConfig) -> np.ndarray:
    """Return triangles [M, filter_length // 2 + 1], float32, of area 1 over Hz, evenly spaced on Slaney's mel scale.

    They equal librosa's `filters.mel`, whose import takes longer than all other imports but PyTorch's.
    """
    edges = mel_to_hz(np.linspace(hz_to_mel(config.mel_fmin), hz_to_mel(config.fmax_hz), config.num_mels + 2))
    lower, centre, upper = (edges[i : i + config.num_mels, None] for i in range(3))
    hz = np.fft.rfftfreq(config.filter_length, 1 / config.sampling_rate)
    triangles = np.minimum((hz - lower) / (centre - lower), (upper - hz) / (upper - centre))
    return (np.maximum(triangles, 0) * 2 / (upper - lower)).astype(np.float32)


class MelSpectrogram(nn.Module):
    """Log mel spectrogram with the bands of `mel_filters`. Differentiable.

    By default it is in natural logarithms, and the magnitude is sqrt(re^2 + im^2 + 1e-9) in "vocoder" framing and
    sqrt(re^2 + im^2) in "tacotron" framing, as in the training of published checkpoints of each kind. Other programs'
    mels need their `convention`. Computed in exact fp32 even under autocast, or in fp64 after `.double()`.

    Raises:
        InputError: mels of this convention cannot be made here.
    """

    window: Tensor
    mel_basis: Tensor

    def __init__(self, config: AudioConfig, convention: MelConvention = OUR_MELS) -> None:
        super().__init__()
        if convention.obstacle:
            raise InputError(f"mels of this kind cannot be made from audio here: {convention.obstacle}")
        self.config = config
        self.convention = convention
        self.register_buffer("mel_basis", torch.from_numpy(mel_filters(config)), persistent=False)
        window = torch.hann_window(config.win_length, periodic=convention.window == "periodic")
        self.register_buffer("window", window, persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        """Convert wav [B, T] in [-1, 1] to log mel [B, M, L].

        Raises:
            InputError: integers, wrong shape, or too few samples for the reflection at the edges.
        """
        config, convention = self.config, self.convention
        if wav.dim() != 2:
            raise InputError(f"mel spectrogram: expected wav of shape [B, T], got {list(wav.shape)}")
        if wav.size(1) <= config.padding:
            raise InputError(f"mel spectrogram: {wav.size(1)} samples are too few, need more than {config.padding}")
        if not wav.is_floating_point():
            raise InputError(f"mel spectrogram: expected floats in [-1, 1], got {wav.dtype}; divide int16 by 32768")
        with torch.autocast(wav.device.type, enabled=False):
            whole, padding = wav.to(self.window.dtype).unsqueeze(1), config.padding
            pad = reflect if convention.edges == "reflect" else _pad_with_zeros
            padded = pad(whole, padding, padding).squeeze(1)
            frames = (padded.size(1) - config.filter_length) // config.hop_length + 1
            if frames <= BLOCK_FRAMES or padded.requires_grad:
                return self._masked(self._log_mel(padded))
            # The complex spectrum takes 50 times the memory of its mel.
            mel = padded.new_empty(len(padded), config.num_mels, frames)
            for first in range(0, frames, BLOCK_FRAMES):
                last = min(first + BLOCK_FRAMES, frames) - 1
                samples = padded[:, first * config.hop_length : last * config.hop_length + config.filter_length]
                mel[..., first : last + 1] = self._log_mel(samples)
            return self._masked(mel)

    def _log_mel(self, padded: Tensor) -> Tensor:
        """Convert wav [B, T] to log mel [B, M, L], one frame wherever a whole window fits."""
        config = self.config
        spec = torch.stft(
            padded,
            config.filter_length,
            config.hop_length,
            config.win_length,
            self.window,
            center=False,
            return_complex=True,
        )
        dtype = exact_format(padded.device) if padded.dtype == torch.float32 else padded.dtype
        bands = self.mel_basis.to(dtype) @ self._spectrum(spec).to(dtype)
        return self._scaled(bands.to(padded.dtype))

    def _spectrum(self, spec: Tensor) -> Tensor:
        """Return magnitudes, or their squares."""
        epsilon = self.convention.epsilon
        if epsilon is None:
            epsilon = 1e-9 if self.config.framing == "vocoder" else 0.0
        if self.convention.spectrum_power == 1 and epsilon == 0:
            return spec.abs()
        power = torch.view_as_real(spec).square().sum(-1)
        return torch.sqrt(power + epsilon) if self.convention.spectrum_power == 1 else power

    def _scaled(self, bands: Tensor) -> Tensor:
        """Return the logarithm of the bands [B, M, L], scaled as the convention says."""
        convention = self.convention
        floored = bands + convention.log_floor if convention.log_floor_added else bands.clamp(min=convention.log_floor)
        mel = torch.log(floored) if convention.log_base == "ln" else torch.log10(floored)
        if convention.gain != 1:
            mel = convention.gain * mel
        if convention.mel_mean != (0.0,) or convention.mel_scale != (1.0,):
            mean, scale = (mel.new_tensor(values)[:, None] for values in (convention.mel_mean, convention.mel_scale))
            mel = (mel - mean) / scale
        return mel if convention.mel_clip is None else mel.clamp(*convention.mel_clip)

    def _masked(self, mel: Tensor) -> Tensor:
        """Replace the last frame of mel [B, M, L] in conventions that mask it."""
        value = self.convention.last_frame
        return mel if value is None else torch.cat([mel[:, :, :-1], torch.full_like(mel[:, :, -1:], value)], dim=2)
