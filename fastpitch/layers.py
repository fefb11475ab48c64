"""Small layers. Shapes: B batch, S symbols or frames, C channels. Masks are bool, False in the padding.

Every convolution sees zeros beyond an item's end, as if the item were alone. Masks are applied before each convolution,
since biases fill the padding again.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.machine.precision import exact_format
from fastpitch.config import PredictorConfig


class Embedding(nn.Embedding):
    """PyTorch's embedding, not initialised on the meta device, where PyTorch would import its compiler (a second)."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()


def length_mask(lens: Tensor, max_len: int) -> Tensor:
    """Return a mask [B, max_len] for lengths [B]."""
    return torch.arange(max_len, device=lens.device).unsqueeze(0) < lens.unsqueeze(1)


def zero_padding(x: Tensor, mask: Tensor) -> Tensor:
    """Return x [B, S, C] with zeros where mask [B, S] is False, even if the padding became infinite."""
    return x.masked_fill(~mask.unsqueeze(2), 0.0)


def linear_in_fp32(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply a last layer in exact fp32. With shorter factors, durations, pitch and mels would have 8 to 11 bits.

    TorchScript knows neither autocast nor the settings. On GPUs it computes in fp64, which both leave alone. On CPUs
    the layer follows the caller's precision.
    """
    if torch.jit.is_scripting():
        dtype = torch.float64 if x.is_cuda else torch.float32
        y = F.linear(x.to(dtype), weight.to(dtype), bias.to(dtype))
    else:
        if torch.compiler.is_exporting():  # the ONNX exporter knows no autocast
            return F.linear(x.float(), weight.float(), bias.float())
        with torch.autocast(x.device.type, enabled=False):
            dtype = exact_format(x.device)
            y = F.linear(x.to(dtype), weight.to(dtype), bias.to(dtype))
    return y.float()


class ConvReLUNorm(nn.Module):
    """Convolution over time, ReLU, layer norm over channels, dropout."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.norm = nn.LayerNorm(out_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B, S, C] to [B, S, C']."""
        return self.dropout(self.norm(F.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)))


class Predictor(nn.Module):
    """Predictor of one value per symbol: convolutions, then a linear layer (FastPitch paper section 2.1)."""

    def __init__(self, in_channels: int, config: PredictorConfig) -> None:
        super().__init__()
        widths = [in_channels] + [config.filter_size] * config.n_layers
        self.layers = nn.ModuleList(
            ConvReLUNorm(before, after, config.kernel_size, config.dropout)
            for before, after in itertools.pairwise(widths)
        )
        self.fc = nn.Linear(config.filter_size, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map x [B, S, C], with mask [B, S], to fp32 [B, S], zero in the padding."""
        for layer in self.layers:
            x = layer(zero_padding(x, mask))
        return linear_in_fp32(x, self.fc.weight, self.fc.bias).squeeze(2).masked_fill(~mask, 0.0)


class ConvNorm(nn.Module):
    """Convolution [B, C, S] -> [B, C', S] with Xavier uniform initialisation."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, followed_by: str = "linear") -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        gain = nn.init.calculate_gain("relu" if followed_by == "relu" else "linear")
        nn.init.xavier_uniform_(self.conv.weight, gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)
