"""Layers and stages of the generator in C, with a row of memory for each channel.

In fp32 they are faster than oneDNN's, the more so the fewer channels there are. A tile of a stage is computed from its
upsampling to its end in memory that stays in the cache, and each convolution makes no more samples than those behind it
need.

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
LEAD = 64  # zeros on both sides of a signal: more than the layers between stages can see
TILE_BYTES = 2**18  # of one signal within a stage; six of them are in use at a time
MIN_TILE = 512  # samples, if there are several
FEW = 64  # channels at most, for which this is faster than oneDNN
LAYER_PART = 2**14  # samples of a layer between stages that are made at a time


class Signal(NamedTuple):
    """A signal [C, LEAD + T + LEAD], float32, with zeros at both ends."""

    data: Tensor
    samples: int

    @classmethod
    def empty(cls, channels: int, samples: int) -> Signal:
        data = torch.empty(channels, samples + 2 * LEAD)
        data[:, :LEAD], data[:, LEAD + samples :] = 0, 0
        return cls(data, samples)

    @classmethod
    def of(cls, x: Tensor) -> Signal:
        """From [C, T] in any layout and precision."""
        signal = cls.empty(*x.shape)
        signal.inner.copy_(x)
        return signal

    @property
    def inner(self) -> Tensor:
        """[C, T], without the ends."""
        return self.data[:, LEAD : LEAD + self.samples]


class ChannelLayer:
    """A convolution [O, I, K] that keeps the length, with a leaky ReLU behind it if `slope` is given."""

    def __init__(self, weight: Tensor, bias: Tensor, slope: float | None = None) -> None:
        self._conv = vector.Convolution(weight, bias)
        self._outputs = len(weight)
        self._slope = slope

    def __call__(self, x: Signal) -> Signal:
        y = Signal.empty(self._outputs, x.samples)

        def make(part: range) -> None:
            at = LEAD + part.start
            self._conv(x.data, at - self._conv.reach, len(part), y.data, at, self._slope)

        for_each(make, parts(x.samples, LAYER_PART, MIN_TILE))
        return y


class ChannelStage:
    """Upsampling, residual blocks, and the activation behind them.

    Args:
        up: transposed convolution, weight norm removed.
        blocks: residual blocks whose sum is taken.
        scale: what its input is to be multiplied by.
        slope: of the activation behind.
    """

    def __init__(self, up: Any, blocks: Any, scale: float, slope: float) -> None:
        self._rate = up.stride[0]
        weight = polyphase(up.weight.detach() * scale, self._rate).transpose(0, 1).flatten(0, 1)
        layer = vector.Convolution(weight, up.bias.detach().repeat_interleave(self._rate), rate=self._rate)
        self._stage = vector.Stage(layer, up.padding[0], [_convolutions(block) for block in blocks], (SLOPE, slope))
        self._tile = max(MIN_TILE, TILE_BYTES // (4 * self._stage.channels))
        self._memory = ThreadMemory(self._stage.memory)

    def __call__(self, x: Signal) -> Signal:
        """Activated signals [C_in, N] -> [C, N * rate]."""
        y = Signal.empty(self._stage.channels, x.samples * self._rate)
        tiles = parts(y.samples, self._tile, MIN_TILE)
        largest = max(map(len, tiles))

        def make(tile: range) -> None:
            self._stage(x.data, LEAD, y.data, LEAD, y.samples, tile, self._memory(largest))

        for_each(make, tiles)
        return y


class ThreadMemory:
    """What `make` gives for tiles of some size, kept for the thread that asks, until it asks for larger ones."""

    def __init__(self, make: Callable[[int], Tensor]) -> None:
        self._make = make
        self._kept = threading.local()

    def __call__(self, size: int) -> Tensor:
        kept: tuple[int, Tensor] | None = getattr(self._kept, "memory", None)
        if kept is None or kept[0] < size:
            self._kept.memory = kept = (size, self._make(size))
        return kept[1]


def suits(up: Any) -> bool:
    """Whether this is the way for a stage that begins with this transposed convolution, and there is a C compiler."""
    sees = -(-up.kernel_size[0] // up.stride[0])
    return up.out_channels <= FEW and vector.library() is not None and sees + vector.lanes() <= LEAD


def _convolutions(block: Any) -> tuple[list[vector.Convolution], int]:
    layers, of_a_sum = layers_of(block)
    return [vector.Convolution(conv.weight, conv.bias, conv.dilation[0]) for conv in layers], of_a_sum


def layers_of(block: Any) -> tuple[list[Any], int]:
    """The convolutions of a residual block in their order, and after how many of them its input is added."""
    if isinstance(block, ResBlock1):
        return [conv for pair in zip(block.convs1, block.convs2, strict=True) for conv in pair], 2
    return list(block.convs), 1


def polyphase(weight: Tensor, rate: int) -> Tensor:
    """Transposed convolution [I, O, K] -> [rate, O, I, taps], convolutions that make every rate-th sample each."""
    taps = -(-weight.size(2) // rate)
    spread = F.pad(weight, (0, taps * rate - weight.size(2))).unflatten(2, (taps, rate))
    return spread.flip(2).permute(3, 1, 0, 2)


def parts(length: int, size: int, least: int) -> list[range]:
    """`length` samples in parts of about `size`, as many for each thread, if then none is below `least`."""
    threads = torch.get_num_threads()
    count = -(-length // size)
    count = max(1, min(-(-count // threads) * threads, length // min(size, least)))
    bounds = [length * number // count for number in range(count + 1)]
    return [range(*pair) for pair in itertools.pairwise(bounds)]
