"""Layers and stages of the generator in C, with one row of memory per channel.

In fp32 they are faster than oneDNN's, and the advantage grows as channels shrink. A tile of a stage is computed from
its upsampling to its end in memory that stays in the cache. Each convolution computes only the samples that later
ones need.

Shapes: C channels, N samples of a stage's input, T samples of its output.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from common.machine.thread_pool import for_each
from hifigan.engine.native import vector
from hifigan.generator import ResBlock1

SLOPE = 0.1  # of the leaky ReLUs within a stage
MARGIN_SAMPLES = 64  # zeros on both sides of a signal: more than the layers between stages can see
TILE_BYTES = 2**18  # of one signal within a stage, of which six are in use at a time
MIN_TILE_SAMPLES = 512  # unless the signal is a single tile
LAYER_TILE_SAMPLES = 2**14  # of a layer between stages
FASTER_UP_TO_CHANNELS = 64  # with more, oneDNN is faster


class Signal(NamedTuple):
    """A signal [C, margin + T + margin], float32, with zeros in the margins."""

    data: Tensor
    samples: int

    @classmethod
    def empty(cls, channels: int, samples: int) -> Signal:
        data = torch.empty(channels, samples + 2 * MARGIN_SAMPLES)
        data[:, :MARGIN_SAMPLES], data[:, MARGIN_SAMPLES + samples :] = 0, 0
        return cls(data, samples)

    @classmethod
    def from_tensor(cls, x: Tensor) -> Signal:
        """Copy [C, T] in any layout and precision."""
        signal = cls.empty(*x.shape)
        signal.inner.copy_(x)
        return signal

    @property
    def inner(self) -> Tensor:
        """[C, T], without the margins."""
        return self.data[:, MARGIN_SAMPLES : MARGIN_SAMPLES + self.samples]


class ChannelLayer:
    """A convolution [O, I, K] that preserves the length, with a leaky ReLU behind it if `slope` is given."""

    def __init__(self, weight: Tensor, bias: Tensor, slope: float | None = None) -> None:
        self._conv = vector.VectorConvolution(weight, bias)
        self._outputs = len(weight)
        self._slope = slope

    def __call__(self, x: Signal) -> Signal:
        y = Signal.empty(self._outputs, x.samples)

        def make(part: range) -> None:
            at = MARGIN_SAMPLES + part.start
            self._conv(x.data, at - self._conv.reach, len(part), y.data, at, self._slope)

        for_each(make, split_range(x.samples, LAYER_TILE_SAMPLES, MIN_TILE_SAMPLES))
        return y


class ChannelStage:
    """Upsampling, residual blocks, and the activation behind them.

    Args:
        up: transposed convolution, weight norm removed.
        blocks: residual blocks to sum.
        scale: factor for the input.
        slope: of the activation at the end.
    """

    def __init__(self, up: Any, blocks: Any, scale: float, slope: float) -> None:
        self._rate = up.stride[0]
        weight = to_polyphase(up.weight.detach() * scale, self._rate).transpose(0, 1).flatten(0, 1)
        layer = vector.VectorConvolution(weight, up.bias.detach().repeat_interleave(self._rate), rate=self._rate)
        packed = [_pack_block(block) for block in blocks]
        self._stage = vector.VectorStage(layer, up.padding[0], packed, (SLOPE, slope))
        self._tile_samples = max(MIN_TILE_SAMPLES, TILE_BYTES // (4 * self._stage.channels))
        self._memory = ThreadMemory(self._stage.allocate)

    def __call__(self, x: Signal) -> Signal:
        """Activated signals [C_in, N] -> [C, N * rate]."""
        y = Signal.empty(self._stage.channels, x.samples * self._rate)
        tiles = split_range(y.samples, self._tile_samples, MIN_TILE_SAMPLES)
        largest = max(map(len, tiles))

        def make(tile: range) -> None:
            memory = self._memory(largest)
            self._stage(x.data, MARGIN_SAMPLES, y.data, MARGIN_SAMPLES, y.samples, tile, memory)

        for_each(make, tiles)
        return y


class ThreadMemory:
    """Working memory of each thread, allocated again only for larger tiles.

    Args:
        allocate: returns the memory for tiles of a given size.
    """

    def __init__(self, allocate: Callable[[int], Tensor]) -> None:
        self._allocate = allocate
        self._local = threading.local()

    def __call__(self, size: int) -> Tensor:
        cached: tuple[int, Tensor] | None = getattr(self._local, "memory", None)
        if cached is None or cached[0] < size:
            self._local.memory = cached = (size, self._allocate(size))
        return cached[1]


def is_faster_in_c(up: Any) -> bool:
    """Whether C is available and the fastest for the stage of this transposed convolution."""
    taps = -(-up.kernel_size[0] // up.stride[0])
    fast = up.out_channels <= FASTER_UP_TO_CHANNELS and vector.library() is not None
    return fast and taps + vector.count_lanes() <= MARGIN_SAMPLES


def _pack_block(block: Any) -> tuple[list[vector.VectorConvolution], int]:
    convs, convs_per_residual = flatten_block(block)
    return [vector.VectorConvolution(conv.weight, conv.bias, conv.dilation[0]) for conv in convs], convs_per_residual


def flatten_block(block: Any) -> tuple[list[Any], int]:
    """Return a residual block's convolutions in order, and how many of them form one residual."""
    if isinstance(block, ResBlock1):
        return [conv for pair in zip(block.convs1, block.convs2, strict=True) for conv in pair], 2
    return list(block.convs), 1


def to_polyphase(weight: Tensor, rate: int) -> Tensor:
    """Transposed convolution [I, O, K] -> [rate, O, I, taps]: one convolution per phase of the output samples."""
    taps = -(-weight.size(2) // rate)
    spread = F.pad(weight, (0, taps * rate - weight.size(2))).unflatten(2, (taps, rate))
    return spread.flip(2).permute(3, 1, 0, 2)


def split_range(length: int, size: int, minimum: int) -> list[range]:
    """Split range(length) into parts of about `size`, the same number per thread unless they fall below `minimum`."""
    threads = torch.get_num_threads()
    count = -(-length // size)
    count = max(1, min(-(-count // threads) * threads, length // min(size, minimum)))
    bounds = [length * number // count for number in range(count + 1)]
    return [range(*pair) for pair in itertools.pairwise(bounds)]
