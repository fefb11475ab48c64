"""Layers and stages of the generator in C, with one row of memory per channel.

A tile of a stage is computed from its upsampling to its end in memory that stays in the cache. Each convolution
computes only the samples that later ones need, in the way that takes the least time for its size (`choose_method`).

Shapes: C channels, N samples of a stage's input, T samples of its output.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from common.machine.thread_pool import share
from hifigan.engine.native import instruction_sets, vector
from hifigan.engine.native.transforms import Method, Transform
from hifigan.generator import ResBlock1

SLOPE = 0.1  # of the leaky ReLUs within a stage
MARGIN_SAMPLES = 64  # zeros on both sides of a signal: more than the layers between stages can see
TILE_BYTES = 2**18  # of one signal within a stage, of which six are in use at a time
LARGE_TILE_SAMPLES = (
    4096  # of stages with many channels, where the overlap of smaller tiles costs more than the cache saves
)
MIN_TILE_SAMPLES = 256  # unless the signal is a single tile
LAYER_TILE_SAMPLES = 2**14  # of a layer between stages
SERIAL_ELEMENTS = 2**14  # PyTorch computes larger tensors on several threads
# Multiplications of one channel's registers that take as long as moving its samples, for methods by their tile.
DIRECT_COST, METHOD_COSTS = 10, {1: 13, 2: 30, 3: 40, 4: 40}
T = TypeVar("T")


class Halves(NamedTuple):
    """Which convolutions of a stage have bf16 products.

    Attributes:
        min_taps, max_taps: of their kernels.
        max_tile: of their transforms, whose results are rounded, too: 1 for untransformed signals.
    """

    min_taps: int = 1
    max_taps: int = 0
    max_tile: int = 1


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
    def from_tensor(cls, x: Tensor, function: Callable[[Tensor], Tensor] | None = None) -> Signal:
        """Copy [C, T] in any layout, or what an element-wise function makes of it."""
        signal = cls.empty(*x.shape)
        for part in split_serially(*x.shape):
            signal.inner[:, part] = x[:, part] if function is None else function(x[:, part])
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

        share(make, split_range(x.samples, LAYER_TILE_SAMPLES, MIN_TILE_SAMPLES))
        return y


class ChannelStage:
    """Upsampling, residual blocks, and the activation behind them.

    Args:
        up: transposed convolution, weight norm removed.
        blocks: residual blocks to sum.
        scale: factor for the input.
        slope: of the activation at the end.
        halves: which convolutions have bf16 products.
    """

    def __init__(self, up: Any, blocks: Any, scale: float, slope: float, halves: Halves) -> None:
        self._rate = up.stride[0]
        weight = to_polyphase(up.weight.detach() * scale, self._rate).transpose(0, 1).flatten(0, 1)
        layer = vector.VectorConvolution(weight, up.bias.detach().repeat_interleave(self._rate), rate=self._rate)
        packed = [_pack_block(block, halves) for block in blocks]
        self._stage = vector.VectorStage(layer, up.padding[0], packed, (SLOPE, slope))
        self._tile_samples = max(LARGE_TILE_SAMPLES, TILE_BYTES // (4 * self._stage.channels))
        self._memory = ThreadMemory(self._stage.allocate)

    def __call__(self, x: Signal) -> Signal:
        """Activated signals [C_in, N] -> [C, N * rate]."""
        y = Signal.empty(self._stage.channels, x.samples * self._rate)
        tiles = split_range(y.samples, self._tile_samples, MIN_TILE_SAMPLES)
        largest = max(map(len, tiles))

        def make(tile: range) -> None:
            memory = self._memory(largest)
            self._stage(x.data, MARGIN_SAMPLES, y.data, MARGIN_SAMPLES, y.samples, tile, memory)

        share(make, tiles)
        return y


class ThreadMemory(Generic[T]):
    """Working memory of each thread, allocated again only for larger tiles.

    Args:
        allocate: returns the memory for tiles of a given size.
    """

    def __init__(self, allocate: Callable[[int], T]) -> None:
        self._allocate = allocate
        self._local = threading.local()

    def __call__(self, size: int) -> T:
        cached: tuple[int, T] | None = getattr(self._local, "memory", None)
        if cached is None or cached[0] < size:
            self._local.memory = cached = (size, self._allocate(size))
        return cached[1]


def runs_in_c(up: Any) -> bool:
    """Whether C is available for the stage of this transposed convolution."""
    taps = -(-up.kernel_size[0] // up.stride[0])
    return vector.library() is not None and taps + vector.count_lanes() <= MARGIN_SAMPLES


def lacks_bf16() -> str:
    """Return why bf16 would be slow here, or "": it takes instructions for its products, and C that uses them."""
    if not instruction_sets.chosen().has_bf16:
        return "this processor lacks bf16"
    return "" if vector.library() is not None else "bf16 takes a C compiler"


def choose_method(channels: int, taps: int, halves: Halves) -> Method | None:
    """Return the fastest method of a convolution between `channels` channels, None for the definition in fp32."""
    methods = [Method(Transform(4, count)) for count in (3, 4, 5)]
    if halves.min_taps <= taps <= halves.max_taps and channels % 2 == 0:
        sizes = ((1, 1), (2, 2), (2, 3), (3, 3), (4, 3), (4, 4), (4, 5))
        methods += [Method(Transform(*each), halves=True) for each in sizes if each[0] <= halves.max_tile]
    costs: dict[Method | None, float] = {method: _estimate(method, channels, taps) for method in methods}
    costs[None] = channels * taps + DIRECT_COST
    return min(costs, key=costs.__getitem__)


def _estimate(method: Method, channels: int, taps: int) -> float:
    """Return the time of a method per vector of outputs, in multiplications of registers."""
    transform = method.transform
    segments = -(-taps // transform.taps)
    if transform.taps > taps or (segments > 1 and transform.taps != transform.tile):
        return math.inf
    products = channels * segments * transform.points / transform.tile
    return products / (1 + method.halves) + METHOD_COSTS[transform.tile]


def _pack_block(block: Any, halves: Halves) -> tuple[list[vector.VectorConvolution], int]:
    convs, convs_per_residual = flatten_block(block)
    return [_pack(conv, halves) for conv in convs], convs_per_residual


def _pack(conv: Any, halves: Halves) -> vector.VectorConvolution:
    weight = conv.weight.detach()
    method = choose_method(weight.size(1), weight.size(2), halves)
    if method is not None and method.halves and method.transform.points == 1:
        weight = round_along_taps(weight, torch.bfloat16)
    return vector.VectorConvolution(weight, conv.bias, conv.dilation[0], method=method)


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


def round_along_taps(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Round weights [O, I, K] so that the errors cancel along the taps.

    Upsampled signals change slowly from one sample to the next. The sum of the errors over the taps therefore matters
    more than single errors. Passing each error on to the next tap gains 0.6 dB of SNR for V2.
    """
    rounded = torch.empty_like(weight)
    error = torch.zeros_like(weight[:, :, 0])
    for tap in range(weight.size(2)):
        wanted = weight[:, :, tap] + error
        rounded[:, :, tap] = wanted.to(dtype)
        error = wanted - rounded[:, :, tap]
    return rounded


def split_range(length: int, size: int, minimum: int) -> list[range]:
    """Split range(length) into parts of about `size`, the same number per thread unless they fall below `minimum`."""
    threads = torch.get_num_threads()
    count = -(-length // size)
    count = max(1, min(-(-count // threads) * threads, length // min(size, minimum)))
    bounds = [length * number // count for number in range(count + 1)]
    return [range(*pair) for pair in itertools.pairwise(bounds)]


def split_serially(channels: int, samples: int) -> Iterator[slice]:
    """Split a signal [C, T] along time into parts that PyTorch computes on the caller's thread.

    After larger ones, PyTorch's own threads would keep the other cores busy for milliseconds, waiting for more.
    """
    size = max(1, SERIAL_ELEMENTS // channels)
    return (slice(start, start + size) for start in range(0, samples, size))
