"""Layers and stages of the generator on oneDNN's convolutions, with the channels of a sample side by side in memory.

* Signals lie in memory as [T, C], samples in rows (what oneDNN calls nhwc), where its kernels need no reordering.
* A stage (upsampling and residual blocks) runs on tiles of time that stay in the cache, each with as many samples
  around it as the stage can see, so that the samples kept are those of the whole signal.
* Activations and residual sums happen inside of convolutions.
* A transposed convolution is an ordinary one that makes the `rate` samples of each input sample as channels.
* So many samples in a row are treated as channels of one (`fold`) that vector registers and matrix tiles are full: in
  memory that is the same signal, only the weights are spread out.

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
from hifigan.engine.cpu_c import SLOPE, polyphase
from hifigan.generator import ResBlock1

TILE_BYTES = 2**20  # of one signal within a stage; about four of them are in use at a time, shared by the cores
MIN_TILE = 4096  # samples; below, the overlap of tiles costs more than the cache gains
SHORT = 512  # samples; what is not longer is one tile
FOLD_TO = {torch.float32: 16, torch.bfloat16: 32}  # channels that fill a vector register, or a row of a matrix tile
OUTPUT_FOLD = 16  # samples that the last layer makes at a time
# oneDNN's convolutions with something behind them; PyTorch's compiler uses the same.
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
        padding: zeros on both sides; None keeps the length.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, dtype: torch.dtype, dilation: int = 1, padding: int | None = None
    ) -> None:
        padding = dilation * (weight.size(2) - 1) // 2 if padding is None else padding
        self._padding, self._dilation = [0, padding], [1, dilation]
        image = weight.to(dtype, copy=True)[:, :, None].contiguous()
        self._bias = bias.to(dtype)
        if FUSED:
            reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
            self._weight = reorder(image.to_mkldnn(), self._padding, [1, 1], self._dilation, 1, None)
        else:
            self._weight = image.contiguous(memory_format=torch.channels_last)

    def __call__(self, x: Tensor, slope: float | None = None) -> Tensor:
        """The convolution, with a leaky ReLU behind it if `slope` is given."""
        if not FUSED:
            y = F.conv2d(x, self._weight, self._bias, 1, self._padding, self._dilation)
            return y if slope is None else F.leaky_relu_(y, slope)
        behind: tuple[str, list[float]] = ("none", []) if slope is None else ("leaky_relu", [slope])
        return torch.ops.mkldnn._convolution_pointwise(
            x, self._weight, self._bias, self._padding, [1, 1], self._dilation, 1, *behind, ""
        )

    def plus(self, x: Tensor, y: Tensor) -> Tensor:
        """The convolution of x, plus y."""
        if not FUSED:
            return F.conv2d(x, self._weight, self._bias, 1, self._padding, self._dilation).add_(y)
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, y, self._weight, self._bias, self._padding, [1, 1], self._dilation, 1, "add", 1.0, None, [], None
        )


class RowLayer:
    """A convolution that keeps the length, in fp32, with a leaky ReLU behind it: [T, C_in] -> [T, C]."""

    def __init__(self, conv: Any, slope: float) -> None:
        self._conv = RowConvolution(conv.weight.detach(), _repeated(conv.bias, 1), torch.float32)
        self._slope = slope

    def __call__(self, x: Tensor) -> Tensor:
        return rows_of(self._conv(image(x), self._slope))


class RowStage:
    """Upsampling, the residual blocks on tiles, and the activation behind them.

    Args:
        dtype: of the residual blocks.
        up_dtype: of the upsampling.
        scale: what its input is to be multiplied by.
        samples: of a frame after the upsampling.
        slope: of the activation behind.
    """

    def __init__(
        self,
        up: Any,
        blocks: Any,
        dtype: torch.dtype,
        up_dtype: torch.dtype,
        scale: float,
        samples: int,
        slope: float,
    ) -> None:
        self._rate, self._cut, self._channels = up.stride[0], int(up.padding[0]), up.out_channels
        self._fold = math.gcd(samples, max(1, FOLD_TO[dtype] // self._channels))
        self._dtype, self._up_dtype, self._slope = dtype, up_dtype, slope
        weight = polyphase(up.weight.detach() * scale, self._rate).flatten(0, 1)
        self._taps = weight.size(2)
        self._up = RowConvolution(weight, _repeated(up.bias, self._rate), up_dtype, padding=0)
        self._blocks = [self._block(block) for block in blocks]
        reach: int = max(
            sum(int(conv.padding[0]) for conv in block.modules() if isinstance(conv, torch.nn.Conv1d))
            for block in blocks
        )
        self._reach = -(-reach // self._fold) * self._fold
        self._tile = max(MIN_TILE, TILE_BYTES // (self._channels * dtype.itemsize))

    def __call__(self, x: Tensor) -> Tensor:
        """Activated samples [N, C_in] -> activated samples [N * rate, C]."""
        length = x.size(0) * self._rate
        out = torch.empty(length, self._channels, dtype=self._dtype)

        def make(tile: _Tile) -> None:
            y = rows_of(self._fusion(self._upsampled(x, tile.start, tile.stop))).view(-1, self._channels)
            inner = y[tile.first - tile.start : tile.end - tile.start]
            torch.ops.aten.leaky_relu.out(inner, self._slope, out=out[tile.first : tile.end])

        for_each(make, _tiles(length, _tile_size(length, self._tile, self._reach, self._fold), self._reach))
        return out

    def _upsampled(self, x: Tensor, start: int, stop: int) -> Tensor:
        """[N, C_in] -> the upsampled signal's samples from `start` to `stop`, as a folded image."""
        # Output sample t is number t + cut of the transposed convolution, which sees the input samples up to
        # (t + cut) // rate, `taps` in all. Made are the outputs of whole input samples.
        first, last = (start + self._cut) // self._rate, -(-(stop + self._cut) // self._rate)
        low, high = first - self._taps + 1, last
        seen = F.pad(x[max(0, low) : high], (0, 0, max(0, -low), max(0, high - x.size(0))))
        y = rows_of(self._up(image(seen.to(self._up_dtype)))).view(-1, self._channels)
        skipped = start + self._cut - first * self._rate
        return image(y[skipped : skipped + stop - start].to(self._dtype), self._fold)

    def _fusion(self, x: Tensor) -> Tensor:
        """The sum of the residual blocks."""
        activated = F.leaky_relu(x, SLOPE)
        total: Tensor | None = None
        for block in self._blocks:
            y, inner = x, activated
            for number, (first, second) in enumerate(block):
                if number > 0:
                    inner = F.leaky_relu(y, SLOPE)
                y = first.plus(inner, y) if second is None else second.plus(first(inner, SLOPE), y)
            total = y if total is None else total.add_(y)
        assert total is not None
        return total

    def _block(self, block: Any) -> list[tuple[RowConvolution, RowConvolution | None]]:
        if isinstance(block, ResBlock1):
            return [(self._conv(a), self._conv(b)) for a, b in zip(block.convs1, block.convs2, strict=True)]
        return [(self._conv(conv), None) for conv in block.convs]

    def _conv(self, conv: Any) -> RowConvolution:
        weight = conv.weight.detach()
        if self._dtype != torch.float32:
            weight = rounded_along_taps(weight, self._dtype)
        weight, dilation = folded(weight, conv.dilation[0], self._fold)
        return RowConvolution(weight, _repeated(conv.bias, self._fold), self._dtype, dilation)


class _Tile(NamedTuple):
    """Samples `start` to `stop` of a signal, of which those from `first` to `end` are kept."""

    start: int
    stop: int
    first: int
    end: int


def _tiles(length: int, size: int, reach: int) -> list[_Tile]:
    """Tiles of `size` that together keep each of `length` samples once, with `reach` samples around those kept."""
    tiles: list[_Tile] = []
    first = 0
    while first < length:
        start = min(max(0, first - reach), length - size)
        stop = start + size
        end = length if stop == length else stop - reach
        tiles.append(_Tile(start, stop, first, end))
        first = end
    return tiles


def _tile_size(length: int, tile: int, reach: int, fold: int) -> int:
    """Samples of the tiles that cover `length`, all of one size: the last one overlaps the one before as it must.

    For each new size oneDNN compiles its convolutions again, which takes as long as half a second of V2's speech. So
    sizes have eight steps in each octave, and short signals, too, are covered by two tiles of such a size.

    Args:
        tile: wanted at most, without the overlap.
        reach: samples of overlap on either side.
        fold: what sizes are multiples of.
    """
    count = max(1 if length <= SHORT else 2, -(-length // tile))
    threads = torch.get_num_threads()
    if count > 1:  # each thread gets as many as the others, unless they would be mostly overlap
        count = max(count, min(-(-count // threads) * threads, length // max(SHORT, 4 * reach)))
    size = -(-(length + 2 * reach * (count - 1)) // count)
    step = max(1, 2 ** (size.bit_length() - 4) // fold) * fold
    return min(length, -(-size // step) * step)


class RowOutput:
    """A convolution to one channel that keeps the length, in fp32, on tiles; its input is multiplied by `scale`."""

    def __init__(self, conv: Any, scale: float, samples: int) -> None:
        self._fold = math.gcd(OUTPUT_FOLD, samples)
        weight, dilation = folded(conv.weight.detach() * scale, conv.dilation[0], self._fold)
        self._reach = -(-conv.padding[0] // self._fold) * self._fold
        self._conv = RowConvolution(weight, _repeated(conv.bias, self._fold), torch.float32, dilation)
        tile = max(MIN_TILE, TILE_BYTES // (4 * conv.in_channels))
        self._tile = -(-tile // self._fold) * self._fold

    def __call__(self, x: Tensor) -> Tensor:
        """Activated samples [T, C] -> [T]."""
        length = x.size(0)
        out = torch.empty(length)

        def make(tile: _Tile) -> None:
            y = self._conv(image(x[tile.start : tile.stop].float(), self._fold))
            out[tile.first : tile.end] = rows_of(y).view(-1)[tile.first - tile.start : tile.end - tile.start]

        for_each(make, _tiles(length, _tile_size(length, self._tile, self._reach, self._fold), self._reach))
        return out


def image(x: Tensor, fold: int = 1) -> Tensor:
    """[T, C], contiguous -> [1, C * fold, 1, T / fold], the same memory."""
    return x.view(1, 1, x.size(0) // fold, -1).permute(0, 3, 1, 2)


def rows_of(x: Tensor) -> Tensor:
    """[1, C, 1, T] -> [T, C]."""
    return x.permute(0, 2, 3, 1).reshape(x.size(3), -1)


def _repeated(bias: Tensor | None, times: int) -> Tensor:
    assert bias is not None
    return bias.detach().repeat(times)


def folded(weight: Tensor, dilation: int, fold: int) -> tuple[Tensor, int]:
    """Convolution that keeps the length, of one sample -> of `fold` samples as channels, and its dilation."""
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


def rounded_along_taps(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights [O, I, K], rounded so that their errors cancel along the taps.

    What is added up changes slowly from one sample to the next, as it was made by upsampling: sums of errors over the
    taps matter more than errors. Passing each error on to the next tap gains 0.6 dB of SNR for V2.
    """
    rounded = torch.empty_like(weight)
    error = torch.zeros_like(weight[:, :, 0])
    for tap in range(weight.size(2)):
        wanted = weight[:, :, tap] + error
        rounded[:, :, tap] = wanted.to(dtype)
        error = wanted - rounded[:, :, tap]
    return rounded
