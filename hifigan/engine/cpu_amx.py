"""Stages of the generator in C, on the matrix units (AMX) of some x86 processors.

Residuals and sums are fp32. Convolutions see bf16 numbers or, in stages that must be more exact, pairs of them with 16
bits together. Pairs take two to three times the work of single numbers, which is still faster than fp32.

Shapes: C channels, N samples of a stage's input, T samples of its output.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from common.machine.thread_pool import share
from hifigan.engine.cpu_c import SLOPE, ThreadMemory, flatten_block, round_along_taps, split_range, to_polyphase
from hifigan.engine.cpu_onednn import fold_weight
from hifigan.engine.native import amx

TILE_BYTES = 2**18  # of one fp32 signal within a stage, of which three are in use at a time, with three in bf16
MIN_TILE_ROWS = 1024  # below, overlapping tiles cost more than the cache saves


class MatrixStage:
    """Upsampling, residual blocks, and the activation behind them.

    Args:
        up: transposed convolution, weight norm removed.
        blocks: residual blocks to sum.
        exact: whether the upsampling and the blocks use two bf16 numbers per value.
        scale: factor for the input.
        samples: samples per frame after the upsampling.
        slope: of the activation at the end.
    """

    def __init__(
        self, up: Any, blocks: Any, exact: tuple[bool, bool], scale: float, samples: int, slope: float
    ) -> None:
        self._rate, self._channels = up.stride[0], up.out_channels
        self._fold = _choose_fold(up.out_channels, samples)
        self._parts = 1 + exact[0], 1 + exact[1]
        weight = to_polyphase(up.weight.detach() * scale, self._rate).flatten(0, 1)
        self._stage = amx.AmxStage(
            amx.AmxConvolution(weight, up.bias.repeat(self._rate), 1, self._parts[0]),
            [self._pack_block(block) for block in blocks],
            widths=(up.in_channels, self._channels * self._fold),
            rate=self._rate,
            fold=self._fold,
            cut=up.padding[0],
            parts=self._parts,
            slopes=(SLOPE, slope),
        )
        self._memory = ThreadMemory(self._stage.allocate)

    def __call__(self, x: Tensor) -> Tensor:
        """Activated samples [N, C_in] -> [N * rate, C], float32."""
        x = x.float().contiguous()
        y = torch.empty(len(x) * self._rate // self._fold, self._channels * self._fold)
        tiles = split_range(len(y), max(MIN_TILE_ROWS, TILE_BYTES // (4 * y.size(1))), MIN_TILE_ROWS)
        largest = max(map(len, tiles))
        share(lambda tile: self._stage(x, y, tile, self._memory(largest)), tiles)
        return y.view(-1, self._channels)

    def _pack_block(self, block: Any) -> tuple[list[amx.AmxConvolution], int]:
        convs, convs_per_residual = flatten_block(block)
        return [self._pack(conv) for conv in convs], convs_per_residual

    def _pack(self, conv: Any) -> amx.AmxConvolution:
        weight = conv.weight.detach()
        if self._parts[1] == 1:
            weight = round_along_taps(weight, torch.bfloat16)
        weight, dilation = fold_weight(weight, conv.dilation[0], self._fold)
        return amx.AmxConvolution(weight, conv.bias.repeat(self._fold), dilation, self._parts[1])


def fits_matrix_units(up: Any, exact: tuple[bool, bool], samples: int) -> bool:
    """Whether the stage of this transposed convolution can run on matrix units here."""
    width = up.out_channels * _choose_fold(up.out_channels, samples)
    return (
        amx.fits_outputs(up.out_channels * up.stride[0])
        and amx.fits_outputs(width)
        and amx.fits_inputs(up.in_channels, 1 + exact[0])
        and amx.fits_inputs(width, 1 + exact[1])
        and amx.library() is not None
    )


def _choose_fold(channels: int, samples: int) -> int:
    """Return the samples per row for a stage with `channels` channels and `samples` samples per frame."""
    return math.gcd(samples, max(1, amx.PRODUCT_OUTPUTS // channels))
