"""Stages of the generator in C, on the matrix units (AMX) that some x86 processors have.

Residuals and sums are fp32; what the convolutions see are bf16 numbers, or for stages that must be more exact, pairs of
them, which together have 16 bits: two to three times the work of one, still less time than fp32 takes.

Shapes: C channels, N samples of a stage's input, T samples of its output.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from common.machine.thread_pool import for_each
from hifigan.engine.cpu_c import SLOPE, ThreadMemory, layers_of, parts, polyphase
from hifigan.engine.cpu_onednn import folded, rounded_along_taps
from hifigan.engine.native import amx

TILE_BYTES = 2**18  # of one fp32 signal within a stage; three of them and three of what is seen are in use at a time
MIN_TILE = 1024  # rows; below, the overlap of tiles costs more than the cache gains


class MatrixStage:
    """Upsampling, residual blocks, and the activation behind them.

    Args:
        up: transposed convolution, weight norm removed.
        blocks: residual blocks whose sum is taken.
        exact: whether the upsampling and the blocks work on two bf16 numbers for each sample.
        scale: what its input is to be multiplied by.
        samples: of a frame after the upsampling.
        slope: of the activation behind.
    """

    def __init__(
        self, up: Any, blocks: Any, exact: tuple[bool, bool], scale: float, samples: int, slope: float
    ) -> None:
        self._rate, self._channels = up.stride[0], up.out_channels
        self._fold = _fold(up.out_channels, samples)
        self._parts = 1 + exact[0], 1 + exact[1]
        weight = polyphase(up.weight.detach() * scale, self._rate).flatten(0, 1)
        self._stage = amx.Stage(
            amx.Convolution(weight, up.bias.repeat(self._rate), 1, self._parts[0]),
            [self._block(block) for block in blocks],
            widths=(up.in_channels, self._channels * self._fold),
            rate=self._rate,
            fold=self._fold,
            cut=up.padding[0],
            parts=self._parts,
            slopes=(SLOPE, slope),
        )
        self._memory = ThreadMemory(self._stage.memory)

    def __call__(self, x: Tensor) -> Tensor:
        """Activated samples [N, C_in] -> [N * rate, C], float32."""
        x = x.float().contiguous()
        y = torch.empty(len(x) * self._rate // self._fold, self._channels * self._fold)
        tiles = parts(len(y), max(MIN_TILE, TILE_BYTES // (4 * y.size(1))), MIN_TILE)
        largest = max(map(len, tiles))
        for_each(lambda tile: self._stage(x, y, tile, self._memory(largest)), tiles)
        return y.view(-1, self._channels)

    def _block(self, block: Any) -> tuple[list[amx.Convolution], int]:
        layers, of_a_sum = layers_of(block)
        return [self._conv(layer) for layer in layers], of_a_sum

    def _conv(self, conv: Any) -> amx.Convolution:
        weight = conv.weight.detach()
        if self._parts[1] == 1:
            weight = rounded_along_taps(weight, torch.bfloat16)
        weight, dilation = folded(weight, conv.dilation[0], self._fold)
        return amx.Convolution(weight, conv.bias.repeat(self._fold), dilation, self._parts[1])


def suits_matrix(up: Any, exact: tuple[bool, bool], samples: int) -> bool:
    """Whether this is the way for a stage that begins with this transposed convolution, and it can run here."""
    width = up.out_channels * _fold(up.out_channels, samples)
    return (
        amx.outputs_fit(up.out_channels * up.stride[0])
        and amx.outputs_fit(width)
        and amx.inputs_fit(up.in_channels, 1 + exact[0])
        and amx.inputs_fit(width, 1 + exact[1])
        and amx.library() is not None
    )


def _fold(channels: int, samples: int) -> int:
    """Samples in a row of a stage with so many channels, if a frame has so many samples."""
    return math.gcd(samples, max(1, amx.HEIGHT // channels))
