"""Layers and stages of the generator on oneDNN's convolutions, in fp32, where C cannot be compiled.

The channels of a sample lie side by side in memory.

* Signals lie in memory as [T, C] (oneDNN's nhwc), so that its kernels need no reordering.
* A stage (upsampling and residual blocks) runs on tiles of time that stay in the cache. Each tile includes the
  samples around it that the stage can see, so that its result equals that part of the whole signal.
* Activations and residual sums are fused into convolutions.
* A transposed convolution is an ordinary one whose output channels are the `rate` samples of each input sample.
* Several samples are treated as channels of one (`fold`), to fill vector registers and matrix tiles. Only the weights
  change. The signal in memory is the same.

Shapes: N samples of a stage's input, T samples of its output, C channels.
"""

from __future__ import annotations

import math
import platform
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from common.machine.thread_pool import for_each
from hifigan.engine.cpu_c import SLOPE, to_polyphase
from hifigan.generator import ResBlock1

TILE_BYTES = 2**20  # of one signal within a stage, of which about four are in use at a time
MIN_TILE_SAMPLES = 4096  # below, overlapping tiles cost more than the cache saves
ONE_TILE_UP_TO_SAMPLES = 512
FOLD_TO_CHANNELS = 16  # that fill a vector register
OUTPUT_FOLD_SAMPLES = 16  # that the last layer computes at a time
# Whether PyTorch was built with oneDNN's fused convolutions. Its compiler uses the same ones.
FUSED = (
    torch.backends.mkldnn.is_available()
    and platform.machine().lower() in ("x86_64", "amd64")
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
)


class RowConvolution:
    """A convolution over the row of an image [1, C, 1, T] that lies in memory as [T, C].

    Args:
        weight: [O, I, K].
        bias: [O].
        padding: zeros on both sides. None preserves the length.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int = 1, padding: int | None = None) -> None:
        padding = dilation * (weight.size(2) - 1) // 2 if padding is None else padding
        self._padding, self._dilation = [0, padding], [1, dilation]
        kernel = weight.clone()[:, :, None].contiguous()
        self._bias = bias
        if FUSED:
            reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
            self._weight = reorder(kernel.to_mkldnn(), self._padding, [1, 1], self._dilation, 1, None)
        else:
            self._weight = kernel.contiguous(memory_format=torch.channels_last)

    def __call__(self, x: Tensor, slope: float | None = None) -> Tensor:
        """Convolve, and apply a leaky ReLU if `slope` is given."""
        if not FUSED:
            y = F.conv2d(x, self._weight, self._bias, 1, self._padding, self._dilation)
            return y if slope is None else F.leaky_relu_(y, slope)
        activation: tuple[str, list[float]] = ("none", []) if slope is None else ("leaky_relu", [slope])
        return torch.ops.mkldnn._convolution_pointwise(
            x, self._weight, self._bias, self._padding, [1, 1], self._dilation, 1, *activation, ""
        )

    def convolve_and_add(self, x: Tensor, y: Tensor) -> Tensor:
        """Convolve x, and add y."""
        if not FUSED:
            return F.conv2d(x, self._weight, self._bias, 1, self._padding, self._dilation).add_(y)
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, y, self._weight, self._bias, self._padding, [1, 1], self._dilation, 1, "add", 1.0, None, [], None
        )


class RowLayer:
    """A convolution that preserves the length, with a leaky ReLU behind it: [T, C_in] -> [T, C]."""

    def __init__(self, conv: Any, slope: float) -> None:
        self._conv = RowConvolution(conv.weight.detach(), _repeat_bias(conv.bias, 1))
        self._slope = slope

    def __call__(self, x: Tensor) -> Tensor:
        return to_rows(self._conv(to_image(x), self._slope))


class RowStage:
    """Upsampling, residual blocks, and the activation behind them, on tiles.

    Args:
        up: transposed convolution, weight norm removed.
        blocks: residual blocks to sum.
        scale: factor for the input.
        samples: samples per frame after the upsampling.
        slope: of the activation at the end.
    """

    def __init__(self, up: Any, blocks: Any, scale: float, samples: int, slope: float) -> None:
        self._rate, self._cut, self._channels = up.stride[0], int(up.padding[0]), up.out_channels
        self._fold = math.gcd(samples, max(1, FOLD_TO_CHANNELS // self._channels))
        self._slope = slope
        weight = to_polyphase(up.weight.detach() * scale, self._rate).flatten(0, 1)
        self._taps = weight.size(2)
        self._up = RowConvolution(weight, _repeat_bias(up.bias, self._rate), padding=0)
        self._blocks = [self._pack_block(block) for block in blocks]
        reach: int = max(
            sum(int(conv.padding[0]) for conv in block.modules() if isinstance(conv, torch.nn.Conv1d))
            for block in blocks
        )
        self._reach = -(-reach // self._fold) * self._fold
        self._tile_samples = max(MIN_TILE_SAMPLES, TILE_BYTES // (4 * self._channels))

    def __call__(self, x: Tensor) -> Tensor:
        """Activated samples [N, C_in] -> activated samples [N * rate, C]."""
        length = x.size(0) * self._rate
        out = torch.empty(length, self._channels)

        def make(tile: _Tile) -> None:
            y = to_rows(self._sum_blocks(self._upsample(x, tile.start, tile.stop))).view(-1, self._channels)
            inner = y[tile.first - tile.start : tile.end - tile.start]
            torch.ops.aten.leaky_relu.out(inner, self._slope, out=out[tile.first : tile.end])

        for_each(
            make,
            _cut_tiles(length, _choose_tile_size(length, self._tile_samples, self._reach, self._fold), self._reach),
        )
        return out

    def _upsample(self, x: Tensor, start: int, stop: int) -> Tensor:
        """[N, C_in] -> samples `start` to `stop` of the upsampled signal, as a folded image."""
        # Output sample t is number t + cut of the transposed convolution. It sees `taps` input samples, the last of
        # which is (t + cut) // rate. Only the outputs of whole input samples are computed.
        first, last = (start + self._cut) // self._rate, -(-(stop + self._cut) // self._rate)
        low, high = first - self._taps + 1, last
        seen = F.pad(x[max(0, low) : high], (0, 0, max(0, -low), max(0, high - x.size(0))))
        y = to_rows(self._up(to_image(seen))).view(-1, self._channels)
        skipped = start + self._cut - first * self._rate
        return to_image(y[skipped : skipped + stop - start], self._fold)

    def _sum_blocks(self, x: Tensor) -> Tensor:
        """Return the sum of the residual blocks."""
        activated = F.leaky_relu(x, SLOPE)
        total: Tensor | None = None
        for block in self._blocks:
            y, inner = x, activated
            for number, (first, second) in enumerate(block):
                if number > 0:
                    inner = F.leaky_relu(y, SLOPE)
                y = (
                    first.convolve_and_add(inner, y)
                    if second is None
                    else second.convolve_and_add(first(inner, SLOPE), y)
                )
            total = y if total is None else total.add_(y)
        assert total is not None
        return total

    def _pack_block(self, block: Any) -> list[tuple[RowConvolution, RowConvolution | None]]:
        if isinstance(block, ResBlock1):
            return [(self._pack(a), self._pack(b)) for a, b in zip(block.convs1, block.convs2, strict=True)]
        return [(self._pack(conv), None) for conv in block.convs]

    def _pack(self, conv: Any) -> RowConvolution:
        weight, dilation = fold_weight(conv.weight.detach(), conv.dilation[0], self._fold)
        return RowConvolution(weight, _repeat_bias(conv.bias, self._fold), dilation)


class _Tile(NamedTuple):
    """Samples `start` to `stop` of a signal, of which `first` to `end` go into the result."""

    start: int
    stop: int
    first: int
    end: int


def _cut_tiles(length: int, size: int, reach: int) -> list[_Tile]:
    """Return tiles of `size` samples that cover `length` samples, each with `reach` extra samples on both sides."""
    tiles: list[_Tile] = []
    first = 0
    while first < length:
        start = min(max(0, first - reach), length - size)
        stop = start + size
        end = length if stop == length else stop - reach
        tiles.append(_Tile(start, stop, first, end))
        first = end
    return tiles


def _choose_tile_size(length: int, tile: int, reach: int, fold: int) -> int:
    """Return the size in samples of the tiles that cover `length`. All have this size, and the last may overlap more.

    For each new size oneDNN compiles its convolutions again, which takes as long as synthesising half a second with V2.
    Therefore sizes have eight steps per octave, and short signals are covered by two tiles of such a size.

    Args:
        tile: desired maximum, without the overlap.
        reach: samples of overlap on either side.
        fold: the size is a multiple of it.
    """
    count = max(1 if length <= ONE_TILE_UP_TO_SAMPLES else 2, -(-length // tile))
    threads = torch.get_num_threads()
    if count > 1:  # the same number for each thread, unless tiles would be mostly overlap
        count = max(count, min(-(-count // threads) * threads, length // max(ONE_TILE_UP_TO_SAMPLES, 4 * reach)))
    size = -(-(length + 2 * reach * (count - 1)) // count)
    step = max(1, 2 ** (size.bit_length() - 4) // fold) * fold
    return min(length, -(-size // step) * step)


class RowOutput:
    """A convolution to one channel that preserves the length, on tiles. `scale` multiplies its input."""

    def __init__(self, conv: Any, scale: float, samples: int) -> None:
        self._fold = math.gcd(OUTPUT_FOLD_SAMPLES, samples)
        weight, dilation = fold_weight(conv.weight.detach() * scale, conv.dilation[0], self._fold)
        self._reach = -(-conv.padding[0] // self._fold) * self._fold
        self._conv = RowConvolution(weight, _repeat_bias(conv.bias, self._fold), dilation)
        tile = max(MIN_TILE_SAMPLES, TILE_BYTES // (4 * conv.in_channels))
        self._tile_samples = -(-tile // self._fold) * self._fold

    def __call__(self, x: Tensor) -> Tensor:
        """Activated samples [T, C] -> [T]."""
        length = x.size(0)
        out = torch.empty(length)

        def make(tile: _Tile) -> None:
            y = self._conv(to_image(x[tile.start : tile.stop], self._fold))
            out[tile.first : tile.end] = to_rows(y).view(-1)[tile.first - tile.start : tile.end - tile.start]

        for_each(
            make,
            _cut_tiles(length, _choose_tile_size(length, self._tile_samples, self._reach, self._fold), self._reach),
        )
        return out


def to_image(x: Tensor, fold: int = 1) -> Tensor:
    """[T, C], contiguous -> [1, C * fold, 1, T / fold], the same memory."""
    return x.view(1, 1, x.size(0) // fold, -1).permute(0, 3, 1, 2)


def to_rows(x: Tensor) -> Tensor:
    """[1, C, 1, T] -> [T, C]."""
    return x.permute(0, 2, 3, 1).reshape(x.size(3), -1)


def _repeat_bias(bias: Tensor | None, times: int) -> Tensor:
    assert bias is not None
    return bias.detach().repeat(times)


def fold_weight(weight: Tensor, dilation: int, fold: int) -> tuple[Tensor, int]:
    """Spread a convolution that preserves the length over rows of `fold` samples. Return its weight and dilation."""
    if fold == 1:
        return weight, dilation
    outputs, inputs, size = weight.shape
    padding = dilation * (size - 1) // 2
    reach = -(-padding // fold)
    spread = weight.new_zeros(fold, outputs, fold, inputs, 2 * reach + 1)
    for phase in range(fold):
        for tap in range(size):
            block, other = divmod(phase + tap * dilation - padding, fold)
            spread[phase, :, other, :, block + reach] = weight[:, :, tap]
    return spread.reshape(fold * outputs, fold * inputs, -1), 1
