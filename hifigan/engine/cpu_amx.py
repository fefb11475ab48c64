"""Stages of the generator in C, on the matrix units (AMX) of some x86 processors.

Residuals and sums are fp32. Convolutions read bf16 numbers or, where they must be more exact, pairs of them with 16
bits together. Pairs take two to three times the work of single numbers, which is still faster than fp32. If some
convolutions of the residual blocks have pairs, all signals in the blocks do, and the others skip the second numbers.

Shapes: C channels, N samples of a stage's input, T samples of its output.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from common.machine.thread_pool import share
from hifigan.engine.cpu_c import SLOPE, ThreadMemory, flatten_block, round_along_taps, split_range, to_polyphase
from hifigan.engine.cpu_onednn import fold_weight
from hifigan.engine.native import amx

TILE_BYTES = 2**18  # of one fp32 signal within a stage, of which three are in use at a time, with three in bf16
MIN_TILE_ROWS = 1024  # below, overlapping tiles cost more than the cache saves


class Pairs(NamedTuple):
    """Which convolutions of a stage have pairs of bf16 numbers.

    Attributes:
        upsampling: whether the transposed convolution has.
        single_taps: kernel sizes of the residual blocks whose convolutions have single numbers.
    """

    upsampling: bool
    single_taps: range

    def count_parts(self, taps: int) -> int:
        """Return the bf16 numbers per value in a convolution of the residual blocks."""
        return 1 if taps in self.single_taps else 2


class MatrixStage:
    """Upsampling, residual blocks, and the activation behind them.

    Args:
        up: transposed convolution, weight norm removed.
        blocks: residual blocks to sum.
        pairs: which of their convolutions use two bf16 numbers per value.
        scale: factor for the input.
        samples: samples per frame after the upsampling.
        slope: of the activation at the end.
    """

    def __init__(self, up: Any, blocks: Any, pairs: Pairs, scale: float, samples: int, slope: float) -> None:
        self._rate, self._channels = up.stride[0], up.out_channels
        self._fold = _choose_fold(up.out_channels, samples)
        self._pairs = pairs
        flat = [flatten_block(block) for block in blocks]
        self._parts = 1 + pairs.upsampling, max(self._count_parts(conv) for convs, _ in flat for conv in convs)
        weight = to_polyphase(up.weight.detach() * scale, self._rate).flatten(0, 1)
        self._stage = amx.AmxStage(
            amx.AmxConvolution(weight, up.bias.repeat(self._rate), 1, self._parts[0]),
            [([self._pack(conv) for conv in convs], convs_per_residual) for convs, convs_per_residual in flat],
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

    def _count_parts(self, conv: Any) -> int:
        return self._pairs.count_parts(conv.kernel_size[0])

    def _pack(self, conv: Any) -> amx.AmxConvolution:
        weight, parts = conv.weight.detach(), self._count_parts(conv)
        if parts == 1:
            weight = round_along_taps(weight, torch.bfloat16)
        weight, dilation = fold_weight(weight, conv.dilation[0], self._fold)
        return amx.AmxConvolution(weight, conv.bias.repeat(self._fold), dilation, parts)


def fits_matrix_units(up: Any, pairs: Pairs, samples: int) -> bool:
    """Whether the stage of this transposed convolution can run on matrix units here."""
    width = up.out_channels * _choose_fold(up.out_channels, samples)
    return (
        amx.fits_outputs(up.out_channels * up.stride[0])
        and amx.fits_outputs(width)
        and amx.fits_inputs(up.in_channels, 1 + pairs.upsampling)
        and amx.fits_inputs(width, 1 if pairs.single_taps else 2)
        and amx.library() is not None
    )


def _choose_fold(channels: int, samples: int) -> int:
    """Return the samples per row for a stage with `channels` channels and `samples` samples per frame."""
    return math.gcd(samples, max(1, amx.PRODUCT_OUTPUTS // channels))
