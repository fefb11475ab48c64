"""Convolutions of the generator on GPUs, for inference: each is one kernel with its activation, bias and sums.

Signals are "rows": [B, T, C], the channels of a moment adjacent in memory. The number of channels is a multiple of
`CHANNEL_STEP`. The kernels read from device memory how many mel frames of each utterance exist. Behind its end they
read zeros, as for the utterance alone, and compute nothing. A CUDA graph of a long signal therefore serves shorter
ones, and the padding of a batch is neither computed nor audible.

A transposed convolution of rate r makes r rows from each row. Side by side in memory, they are the r * O columns of a
convolution with fewer taps, shifted by its padding. So it is the same kernel.

Shapes: B batch, T rows, C input and O output channels, N = r * O columns, k taps.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from common.machine.triton_kernels import define_operator

CHANNEL_STEP = 16  # the tensor cores' smallest product
SLOPE = tl.constexpr(0.1)  # leaky ReLU before every layer except the first and the last
LAST_SLOPE = tl.constexpr(0.01)


class Tile(NamedTuple):
    """Shape of the products of one block of threads, and how it is compiled."""

    rows: int
    columns: int
    channels: int
    warps: int
    stages: int


def choose_tile(channels: int, outputs: int, dtype: torch.dtype, exact: bool) -> Tile:
    """Return the tile for a convolution of C `channels` to O `outputs`, both multiples of `CHANNEL_STEP`.

    The table holds shapes without spilled registers on sm_80 and sm_90, and with at most 99 KB of shared memory. At
    sm_90, two blocks or more fit a multiprocessor. `exact` products of fp32 run without tensor cores.
    """
    columns = _divisor(outputs, 64 if dtype is torch.float32 else 128)
    if dtype is torch.float32:
        step = _divisor(channels, 16 if exact else 32)
        return Tile(64, columns, step, 4, 3)
    if columns <= 32:
        return Tile(256, columns, _divisor(channels, 32), 4, 3)
    step = _divisor(channels, 64)
    if columns == 64:
        return Tile(128, columns, step, 4, 3)
    return Tile(64, columns, step, 4, 3) if channels >= 256 else Tile(128, columns, step, 8, 3)


def _divisor(number: int, most: int) -> int:
    """Return the largest power of two that divides a number, at most `most`."""
    return min(number & -number, most)


@triton.jit
def _length(lengths, item, scale, shift):
    """Return the rows of an utterance that exist, at a layer that makes `scale` * frames + `shift` of its frames."""
    frames = tl.load(lengths + item).to(tl.int32)
    return tl.where(frames > 0, frames * scale + shift, 0)


@triton.jit
def _activated(x):
    """Return leaky ReLU of x. fp16 is multiplied as it is: the work on the activations would be twice as much."""
    if x.dtype == tl.bfloat16:
        wide = x.to(tl.float32)
        activated = tl.maximum(wide, wide * SLOPE).to(tl.bfloat16)
    else:
        activated = tl.maximum(x, x * SLOPE)
    return activated


@triton.jit
def _reflected(rows, length):
    """Return the row that stands for a row before the beginning or behind the end, mirrored there."""
    mirrored = tl.abs(rows)
    return tl.where(mirrored >= length, 2 * (length - 1) - mirrored, mirrored)


@triton.jit(do_not_specialize=["rows_in", "rows_out", "scale_in", "shift_in", "scale_out", "shift_out", "taps",
                               "dilation", "padding", "rate", "cut", "residual_given", "total_given"])  # fmt: skip
def convolve_kernel(
    x, weight, bias, residual, total, lengths, y, rows_in, rows_out, scale_in, shift_in, scale_out, shift_out, taps,
    dilation, padding, rate, cut, residual_given, total_given, factor, slope,
    CHANNELS: tl.constexpr, OUTPUTS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEP: tl.constexpr,
    ACTIVATE: tl.constexpr, REFLECT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """y = leaky(factor * (convolution(leaky(x)) + bias + residual + total)), for one tile of an utterance's output.

    The columns of a tile vary fastest, so that blocks that run at the same time read the same rows.
    """
    columns_total = rate * OUTPUTS
    tiles = columns_total // COLUMNS
    tile = tl.program_id(0)
    item = tl.program_id(1)
    first_column = (tile % tiles) * COLUMNS
    first_row = (tile // tiles) * ROWS  # of the input's, each of which makes `rate` rows of the output
    length_in = _length(lengths, item, scale_in, shift_in)
    length_out = _length(lengths, item, scale_out, shift_out)
    phase = first_column // OUTPUTS - cut
    if first_row * rate + phase >= length_out:
        return
    rows = tl.arange(0, ROWS)
    columns = first_column + tl.arange(0, COLUMNS)
    channels = tl.arange(0, STEP)
    steps: tl.constexpr = CHANNELS // STEP
    x += (item.to(tl.int64) * rows_in + first_row) * CHANNELS
    weights = weight + channels[:, None] * columns_total + columns[None, :]
    result = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for step in range(taps * steps):
        source = first_row + rows + (step // steps) * dilation - padding
        if REFLECT:
            source = _reflected(source, length_in)
        exists = (source >= 0) & (source < length_in)
        places = (source - first_row)[:, None] * CHANNELS + ((step % steps) * STEP + channels)[None, :]
        part = tl.load(x + places, mask=exists[:, None], other=0.0)
        if ACTIVATE:
            part = _activated(part)
        result = tl.dot(part, tl.load(weights), result, input_precision=PRECISION)
        weights += STEP * columns_total
    result += tl.load(bias + columns)[None, :]
    moments = (first_row + rows) * rate + phase
    exists = ((moments >= 0) & (moments < length_out))[:, None]
    start = (item.to(tl.int64) * rows_out + first_row.to(tl.int64) * rate - cut) * OUTPUTS
    places = start + rows[:, None] * columns_total + columns[None, :]
    if residual_given != 0:
        result += tl.load(residual + places, mask=exists, other=0.0).to(tl.float32)
    if total_given != 0:
        result += tl.load(total + places, mask=exists, other=0.0).to(tl.float32)
    result *= factor
    result = tl.maximum(result, result * slope)
    tl.store(y + places, result.to(y.dtype.element_ty), mask=exists)


@triton.jit(do_not_specialize=["rows", "scale", "shift", "taps", "padding"])
def last_layer_kernel(
    x, weight, bias, lengths, wav, rows, scale, shift, taps, padding,
    CHANNELS: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, REFLECT: tl.constexpr,
):  # fmt: skip
    """wav = tanh(convolution(leaky(x)) + bias) in fp32, for one tile of an utterance. Zeros behind its end."""
    first_row = tl.program_id(0) * ROWS
    item = tl.program_id(1)
    length = _length(lengths, item, scale, shift)
    moments = first_row + tl.arange(0, ROWS)
    channels = tl.arange(0, BLOCK)
    x += (item.to(tl.int64) * rows + first_row) * CHANNELS
    products = tl.zeros((ROWS, BLOCK), dtype=tl.float32)
    for tap in range(taps):
        source = moments + tap - padding
        if REFLECT:
            source = _reflected(source, length)
        exists = ((source >= 0) & (source < length))[:, None] & (channels < CHANNELS)[None, :]
        places = (source - first_row)[:, None] * CHANNELS + channels[None, :]
        part = tl.load(x + places, mask=exists, other=0.0).to(tl.float32)
        part = tl.maximum(part, part * LAST_SLOPE)
        products += part * tl.load(weight + tap * CHANNELS + channels, mask=channels < CHANNELS, other=0.0)[None, :]
    values = tl.sum(products, axis=1) + tl.load(bias)
    values = tl.where(moments < length, 2.0 * tl.sigmoid(2.0 * values) - 1.0, 0.0)  # tanh
    tl.store(wav + item.to(tl.int64) * rows + moments, values, mask=moments < rows)


def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    residual: Tensor | None,
    total: Tensor | None,
    lengths: Tensor,
    rows_out: int,
    scales: list[int],
    shape: list[int],
    factor: float,
    slope: float,
    activate: bool,
    reflect: bool,
    precision: str,
) -> Tensor:
    batch, rows_in, channels = x.shape
    taps, dilation, padding, rate, cut = shape
    outputs = weight.size(1) // rate
    y = x.new_empty(batch, rows_out, outputs)
    tile = choose_tile(channels, outputs, x.dtype, precision == "ieee")
    # The rows of the input that have an output: with a padding, one more than the output has whole groups of `rate`.
    groups = -(-(rows_out + cut) // rate)
    grid = (triton.cdiv(groups, tile.rows) * (weight.size(1) // tile.columns), batch)
    convolve_kernel[grid](
        x, weight, bias, y if residual is None else residual, y if total is None else total, lengths, y, rows_in,
        rows_out, *scales, taps, dilation, padding, rate, cut, int(residual is not None), int(total is not None),
        factor, slope, channels, outputs, tile.rows, tile.columns, tile.channels, activate, reflect, precision,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return y


def _empty(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    residual: Tensor | None,
    total: Tensor | None,
    lengths: Tensor,
    rows_out: int,
    scales: list[int],
    shape: list[int],
    *_: object,
) -> Tensor:
    return x.new_empty(x.size(0), rows_out, weight.size(1) // shape[3])


def _last_layer(x: Tensor, weight: Tensor, bias: Tensor, lengths: Tensor, scales: list[int], reflect: bool) -> Tensor:
    batch, rows, channels = x.shape
    wav = _empty_wav(x)
    block = triton.next_power_of_2(channels)
    height = max(16, min(128, 4096 // block))
    last_layer_kernel[triton.cdiv(rows, height), batch](
        x, weight, bias, lengths, wav, rows, *scales, len(weight), len(weight) // 2, channels, height, block, reflect,
        num_warps=4,
    )  # fmt: skip
    return wav


def _empty_wav(x: Tensor, *_: object) -> Tensor:
    return x.new_empty(x.shape[:2], dtype=torch.float32)


_LIBRARY = torch.library.Library("hifigan", "FRAGMENT")
define_operator(
    _LIBRARY,
    "convolve_rows(Tensor x, Tensor weight, Tensor bias, Tensor? residual, Tensor? total, Tensor lengths, int rows_out,"
    " int[] scales, int[] shape, float factor, float slope, bool activate, bool reflect, str precision) -> Tensor",
    _convolve,
    _empty,
)
define_operator(
    _LIBRARY,
    "last_layer(Tensor x, Tensor weight, Tensor bias, Tensor lengths, int[] scales, bool reflect) -> Tensor",
    _last_layer,
    _empty_wav,
)
