"""Conversion between symbols and frames. Shapes: B batch, S symbols, L frames, C channels.

Frames are counted in integers, since sums of durations in half precision are wrong past frame 2048.
"""

from __future__ import annotations

import torch
from torch import Tensor

MAX_DURATION = 75.0  # frames of one symbol, before pace: 0.87 s at 22050 Hz and a hop of 256


def durations_from_log(log_durations: Tensor, longest: float = MAX_DURATION) -> Tensor:
    """Convert predicted ln(d + 1) [B, S] to d in frames, in [0, longest], fp32 and not rounded."""
    return torch.clamp(torch.exp(log_durations.float()) - 1.0, 0.0, longest)


def round_durations(durations: Tensor, pace: float = 1.0) -> Tensor:
    """Divide durations [B, S] in frames by `pace` (2 is twice as fast) and round half up to int64."""
    return torch.floor(durations.float() / pace + 0.5).long()


def frame_symbols(durations: Tensor, num_frames: int) -> Tensor:
    """Return the symbol of each frame, int64 [B, num_frames], for whole durations [B, S], and S past an item's end."""
    ends = torch.cumsum(durations, dim=1)
    frames = torch.arange(num_frames, device=durations.device)
    return (frames.view(1, -1, 1) >= ends.unsqueeze(1)).sum(dim=2)


def regulate(x: Tensor, durations: Tensor, num_frames: int) -> Tensor:
    """Repeat each symbol for its duration (paper section 2.1).

    Args:
        x: [B, S, C].
        durations: whole frames per symbol, int64 [B, S].
        num_frames: length L of the output. Frames past an item's end are zero.

    Returns:
        [B, L, C].
    """
    symbols = frame_symbols(durations, num_frames)
    inside = symbols < x.size(1)
    index = symbols.clamp(max=x.size(1) - 1).unsqueeze(2).expand(-1, -1, x.size(2))
    return torch.gather(x, 1, index).masked_fill(~inside.unsqueeze(2), 0.0)


def mean_per_symbol(values: Tensor, durations: Tensor, counted: Tensor) -> Tensor:
    """Return the mean of `values` over each symbol's frames where `counted` is True, in fp32.

    Args:
        values: [B, L].
        durations: whole frames per symbol, int64 [B, S].
        counted: [B, L].

    Returns:
        [B, S], 0 for symbols without such frames.
    """
    batch, num_symbols = durations.shape
    symbols = frame_symbols(durations, values.size(1))
    # An additional column collects the frames past an item's end.
    sums = torch.zeros(batch, num_symbols + 1, device=values.device).scatter_add(
        1, symbols, values.float().masked_fill(~counted, 0.0)
    )
    counts = torch.zeros_like(sums).scatter_add(1, symbols, counted.float())
    return (sums / counts.clamp(min=1.0))[:, :num_symbols]
