"""Kernels that finish convolutions: bias, residual, mean of parallel convolutions, and leaky ReLU in one.

    out = leaky_relu(mean over k of (y_k / divisor + bias_k + x_k))

y_k [N, C, ...] come from convolutions without bias. With spectral norm, each of the signals that a batch holds one
after the other has a divisor. A residual x_k is read from its own activation, because leaky ReLU can be inverted. So
x_k takes no memory, and the next residual is read from `out` in the same way.

Tensors are contiguous, or have their channels innermost ("channels last"), all of a call alike. Sums are in fp32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from common.machine.triton_kernels import define_operator
from hifigan.gpu.bias_sums import chunks

BLOCK = 2048  # elements of a forward program, and of a tile of a backward program
LAST_CHANNELS = 32  # of a tile with channels last: 64 bytes in half precision, which a GPU reads at once
INT32_ELEMENTS = 2**31 - BLOCK  # larger tensors need 64-bit offsets, which are slower to divide

LIBRARY = torch.library.Library("hifigan", "FRAGMENT")
OPERATORS = torch.ops.hifigan


@triton.jit
def _quotient(dividend, divisor):
    """Divide integers below 2^21 in fp32, in 3 instructions instead of 20. The half keeps rounding off the integers."""
    return ((dividend + 0.5) * (1.0 / divisor)).to(tl.int32)


# Triton compiles a variant for numbers that 16 divides, which pays only where they tell it how memory is aligned.
@triton.jit(do_not_specialize=["inner", "channels", "per_signal"])
def forward_kernel(
    ys, biases, streams, divisors, out, elements, inner, channels, per_signal, slope, stream_slope, factor,
    COUNT: tl.constexpr, RESIDUAL: tl.constexpr, DIVIDED: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
    LONG_ROWS: tl.constexpr, LONG_SIGNALS: tl.constexpr,
):  # fmt: skip
    """Finish `COUNT` parallel convolutions. `inner` elements in memory share a channel, `per_signal` a divisor.

    A block meets at most two of them if they are "long": not less than a block. Divisions are for its start only.
    """
    start = tl.program_id(0)
    if WIDE:
        start = start.to(tl.int64)
    start *= BLOCK
    step = tl.arange(0, BLOCK)
    place = start + step
    inside = place < elements
    row = start // inner
    channel = row % channels
    in_first_row = start % inner + step < inner
    if not LONG_ROWS:
        channel += _quotient(start % inner + step, inner)
        channel = channel.to(tl.int32)
        channel -= _quotient(channel, channels) * channels
    if DIVIDED:
        signal = start // per_signal
        in_first_signal = start % per_signal + step < per_signal
        if LONG_SIGNALS:
            last_signal = tl.minimum(signal + 1, (elements - 1) // per_signal)
            divisor = tl.where(in_first_signal, tl.load(divisors + signal), tl.load(divisors + last_signal))
        else:
            divisor = tl.load(divisors + signal + _quotient(start % per_signal + step, per_signal), inside, other=1.0)
    total = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(COUNT):
        y = tl.load(ys[k] + place, inside, other=0.0).to(tl.float32)
        if DIVIDED:
            y /= divisor
        if LONG_ROWS:
            bias = tl.load(biases[k] + channel)
            total += y + tl.where(in_first_row, bias, tl.load(biases[k] + (row + 1) % channels))
        else:
            total += y + tl.load(biases[k] + channel, inside, other=0.0)
        if RESIDUAL:
            activated = tl.load(streams[k] + place, inside, other=0.0).to(tl.float32)
            total += tl.where(activated > 0, activated, activated / stream_slope)
    total *= factor
    tl.store(out + place, tl.where(total > 0, total, total * slope).to(out.dtype.element_ty), inside)


@triton.jit(do_not_specialize=["items", "chunks", "tiles_per_chunk"])
def backward_kernel(
    activation_grads, stream_grads, out, bias, divisors, grad, sums, items, channels, positions,
    item_stride, channel_stride, position_stride, chunks, tiles_per_chunk, slope, factor,
    ACTIVATIONS: tl.constexpr, STREAMS: tl.constexpr, DIVIDED: tl.constexpr, SUMS: tl.constexpr, WIDE: tl.constexpr,
    CHANNELS: tl.constexpr, POSITIONS: tl.constexpr,
):  # fmt: skip
    """Add the gradients of all uses of `out`, and return the gradient of each y_k and sums over a chunk of it.

    A signal has `items` of `positions` each. A program takes `CHANNELS` channels of a chunk, in `tiles_per_chunk`
    tiles of `POSITIONS` each. It stores the sums that make the gradient of the bias, and those of the divisors.
    """
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    chunk = tl.program_id(1)
    signal = chunk // chunks
    tiles_per_item = tl.cdiv(positions, POSITIONS)
    first = (chunk % chunks) * tiles_per_chunk
    in_channels = channel < channels
    factors = factor
    if DIVIDED:
        factors /= tl.load(divisors + signal)
        shift = tl.load(bias + channel, in_channels, other=0.0)
    for_bias = tl.zeros([CHANNELS, POSITIONS], tl.float32)
    for_divisor = tl.zeros([CHANNELS, POSITIONS], tl.float32)
    for tile in range(first, tl.minimum(first + tiles_per_chunk, items * tiles_per_item)):
        item = signal * items + tile // tiles_per_item
        if WIDE:
            item = item.to(tl.int64)
        position = tile % tiles_per_item * POSITIONS + tl.arange(0, POSITIONS)
        if WIDE:
            position = position.to(tl.int64)
        place = item * item_stride + channel[:, None] * channel_stride + position[None, :] * position_stride
        inside = in_channels[:, None] & (position < positions)[None, :]
        output = tl.load(out + place, inside, other=0.0).to(tl.float32)
        total = tl.zeros([CHANNELS, POSITIONS], tl.float32)
        for k in tl.static_range(ACTIVATIONS):
            total += tl.load(activation_grads[k] + place, inside, other=0.0).to(tl.float32)
        total = tl.where(output > 0, total, total * slope)
        for k in tl.static_range(STREAMS):
            total += tl.load(stream_grads[k] + place, inside, other=0.0).to(tl.float32)
        tl.store(grad + place, (total * factors).to(grad.dtype.element_ty), inside)
        if SUMS:
            for_bias += total
            if DIVIDED:
                for_divisor += total * (tl.where(output > 0, output, output / slope) - shift[:, None])
    if SUMS:
        tl.store(sums + chunk * channels + channel, tl.sum(for_bias, 1) * factor, in_channels)
        if DIVIDED:
            beyond = tl.num_programs(1) * channels
            for_channel = -tl.sum(for_divisor, 1) / tl.load(divisors + signal)
            tl.store(sums + beyond + chunk * channels + channel, for_channel, in_channels)


def _launch_forward(
    out: Tensor, ys: list[Tensor], biases: list[Tensor], streams: list[Tensor], divisors: Tensor | None,
    slope: float, stream_slope: float,
) -> None:  # fmt: skip
    elements, inner = out.numel(), inner_size(out)
    per_signal = elements // (1 if divisors is None else divisors.numel())
    forward_kernel[(triton.cdiv(elements, BLOCK),)](
        tuple(ys), tuple(biases), tuple(streams), out if divisors is None else divisors, out, elements, inner,
        out.size(1), per_signal, slope, stream_slope, 1 / len(ys),
        COUNT=len(ys), RESIDUAL=len(streams) > 0, DIVIDED=divisors is not None, WIDE=elements > INT32_ELEMENTS,
        BLOCK=BLOCK, LONG_ROWS=inner >= BLOCK, LONG_SIGNALS=per_signal >= BLOCK,
    )  # fmt: skip


def _finish(y: Tensor, bias: Tensor, stream: Tensor | None, divisors: Tensor | None, slope: float) -> None:
    _launch_forward(y, [y], [bias], [] if stream is None else [stream], divisors, slope, slope)


def _finish_mean(
    ys: list[Tensor], biases: list[Tensor], streams: list[Tensor], slope: float, stream_slope: float, dtype: torch.dtype
) -> Tensor:
    out = torch.empty_like(ys[0], dtype=dtype)
    _launch_forward(out, ys, biases, streams, None, slope, stream_slope)
    return out


def inner_size(x: Tensor) -> int:
    """Return how many adjacent elements of `x` [N, C, ...] share a channel: all positions, or 1 if channels are last.

    Raises:
        ValueError: `x` has another memory layout.
    """
    if x.is_contiguous():
        return x.numel() // (x.size(0) * x.size(1))
    if x.movedim(1, -1).is_contiguous():
        return 1
    raise ValueError(f"neither contiguous nor channels last: shape {list(x.shape)}, strides {list(x.stride())}")


class Tiling:
    """How a backward pass is divided into programs.

    Args:
        out: [N, C, ...].
        signals: equal parts of the batch that need sums of their own, a power of two.
    """

    def __init__(self, out: Tensor, signals: int) -> None:
        self.channels = out.size(1)
        inner, per_signal = inner_size(out), out.numel() // (signals * self.channels)
        if inner == 1:  # all items of a signal form one sequence of positions
            self.items, self.positions = 1, per_signal
            self.strides = (per_signal * self.channels, 1, self.channels)
            self.tile_channels = min(triton.next_power_of_2(self.channels), LAST_CHANNELS)
            self.tile_positions = BLOCK // self.tile_channels
        else:
            self.items, self.positions = per_signal // inner, inner
            self.strides = (inner * self.channels, inner, 1)
            self.tile_positions = min(triton.next_power_of_2(inner), BLOCK // 2)
            self.tile_channels = min(BLOCK // self.tile_positions, triton.next_power_of_2(self.channels))
        self.channel_tiles = triton.cdiv(self.channels, self.tile_channels)
        tiles = self.items * triton.cdiv(self.positions, self.tile_positions)
        self.chunks = chunks(self.channels) // signals
        self.tiles_per_chunk = triton.cdiv(tiles, self.chunks)


def _launch_backward(
    activation_grads: list[Tensor], stream_grads: list[Tensor], out: Tensor, bias: Tensor, divisors: Tensor | None,
    slope: float, count: int, sums: bool, dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    signals = 1 if divisors is None else divisors.numel()
    tiling = Tiling(out, signals)
    grad, partial = _backward_shapes(activation_grads, stream_grads, out, bias, divisors, slope, count, sums, dtype)
    backward_kernel[(tiling.channel_tiles, signals * tiling.chunks)](
        tuple(activation_grads), tuple(stream_grads), out, bias, out if divisors is None else divisors, grad, partial,
        tiling.items, tiling.channels, tiling.positions, *tiling.strides, tiling.chunks, tiling.tiles_per_chunk,
        slope, 1 / count,
        ACTIVATIONS=len(activation_grads), STREAMS=len(stream_grads), DIVIDED=divisors is not None, SUMS=sums,
        WIDE=out.numel() > INT32_ELEMENTS, CHANNELS=tiling.tile_channels, POSITIONS=tiling.tile_positions,
    )  # fmt: skip
    return grad, partial


def _backward_shapes(
    activation_grads: list[Tensor], stream_grads: list[Tensor], out: Tensor, bias: Tensor, divisors: Tensor | None,
    slope: float, count: int, sums: bool, dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    rows = chunks(out.size(1)) if sums else 0
    partial = bias.new_empty((1 if divisors is None else 2, rows, out.size(1)))
    return torch.empty_like(out, dtype=dtype), partial


define_operator(
    LIBRARY,
    "finish_convolution(Tensor(a!) y, Tensor bias, Tensor? stream, Tensor? divisors, float slope) -> ()",
    _finish,
    lambda y, bias, stream, divisors, slope: None,
)
define_operator(
    LIBRARY,
    "finish_parallel_convolutions(Tensor[] ys, Tensor[] biases, Tensor[] streams, float slope, float stream_slope, "
    "ScalarType dtype) -> Tensor",
    _finish_mean,
    lambda ys, biases, streams, slope, stream_slope, dtype: torch.empty_like(ys[0], dtype=dtype),
)
define_operator(
    LIBRARY,
    "finish_convolution_backward(Tensor[] activation_grads, Tensor[] stream_grads, Tensor out, Tensor bias, "
    "Tensor? divisors, float slope, int count, bool sums, ScalarType dtype) -> (Tensor, Tensor)",
    _launch_backward,
    _backward_shapes,
)
