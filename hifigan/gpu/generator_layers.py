"""The generator's layers, with each convolution finished by one kernel. See `activation`.

Shapes: B batch, M mel bands, L frames, C channels, T samples.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from hifigan.gpu.activation import SLOPE, bias_branches, bias_leaky_relu, bias_residual, mean_of_residuals

LAST_SLOPE = 0.01  # before the last layer, see `Generator.output`


def run(mel: Tensor, conv_pre: nn.Module, ups: Iterable[Any], resblocks: Iterable[Any]) -> Tensor:
    """Run all layers before the last one, and its activation: mel [B, M, L] -> [B, C, T] in fp32."""
    x = _activated(conv_pre, mel)
    stages = list(zip(ups, resblocks, strict=True))
    for number, (up, blocks) in enumerate(stages, start=1):
        is_last = number == len(stages)
        y, bias, _ = up.unfinished(x)
        inputs, streams = bias_branches(y, bias, len(blocks))
        ends = [_run_block(*branch) for branch in zip(blocks, inputs, streams, strict=True)]
        # The last layer computes in fp32.
        slope, dtype = (LAST_SLOPE, torch.float32) if is_last else (SLOPE, y.dtype)
        ys, biases, streams = zip(*ends, strict=True)
        x = mean_of_residuals(ys, biases, streams, slope, dtype)
    return x


def _run_block(block: Any, x: Tensor, stream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run a residual block up to its last sum, and return what this sum adds: see `mean_of_residuals`."""
    steps = list(zip(block.convs1, block.convs2, strict=True)) if hasattr(block, "convs1") else block.convs
    for number, step in enumerate(steps, start=1):
        *before, last = step if isinstance(step, tuple) else (step,)
        for conv in before:
            x = _activated(conv, x)
        y, bias, _ = last.unfinished(x)
        if number < len(steps):
            x, stream = bias_residual(y, bias, stream)
    return y, bias, stream


def _activated(conv: Any, x: Tensor) -> Tensor:
    y, bias, _ = conv.unfinished(x)
    (activated,) = bias_leaky_relu(y, bias)
    return activated
