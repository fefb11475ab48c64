"""Gradients of all biases at once, in Triton.

The gradient of a bias is a sum over a whole tensor. Many programs add a chunk each, and a second stage adds the chunks.
For a single bias that is a kernel of a microsecond, which takes longer to launch. So within `added_at_once`, layers use
`expanded` biases, which stand for one bias per chunk, without memory. Their gradients are the sums of chunks, and one
launch adds those of all layers, in a fixed order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from common.machine.triton_kernels import begins, define_operator

MOST_TENSORS = 64  # of a launch
LEAST_CHUNKS, MOST_CHUNKS = 64, 256
COLUMNS = 32  # channels of a program
ALIGNMENT = 16  # elements at whose multiples gradients begin, so that optimisers may read whole vectors
OPERATORS = torch.ops.hifigan


def chunks(channels: int) -> int:
    """Return into how many chunks to divide sums of `channels`, a power of two: enough programs for a GPU.

    It depends on nothing else, because layers have to know it before they see a tensor.
    """
    return min(max(LEAST_CHUNKS, triton.next_power_of_2(8192 // channels)), MOST_CHUNKS)


@triton.jit
def add_chunks(
    sums, chunks, channels, out, COUNT: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, ALIGNMENT: tl.constexpr
):
    """Add the rows of each matrix [chunks, channels] in `sums`. ROWS divides all `chunks`."""
    program = tl.program_id(0)
    first, end, place, next_place = 0, 0, 0, 0
    address, rows, size = sums[0].to(tl.int64), chunks[0], channels[0]
    for k in tl.static_range(COUNT):
        here = program >= end
        address = tl.where(here, sums[k].to(tl.int64), address)
        rows, size = tl.where(here, chunks[k], rows), tl.where(here, channels[k], size)
        first, place = tl.where(here, end, first), tl.where(here, next_place, place)
        end += tl.cdiv(channels[k], COLUMNS)
        next_place += tl.cdiv(channels[k], ALIGNMENT) * ALIGNMENT
    matrix = address.to(sums[0].dtype)
    channel = (program - first) * COLUMNS + tl.arange(0, COLUMNS)
    inside = channel < size
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    for begin in range(0, rows, ROWS):
        row = begin + tl.arange(0, ROWS)
        total += tl.load(matrix + row[:, None] * size + channel[None, :], inside[None, :], other=0.0)
    tl.store(out + place + channel, tl.sum(total, 0), inside)


def _launch(sums: Sequence[Tensor]) -> Tensor:
    out = _empty(sums)
    sizes = tuple(part.size(1) for part in sums)
    add_chunks[(sum(triton.cdiv(size, COLUMNS) for size in sizes),)](
        tuple(sums), tuple(map(len, sums)), sizes, out,
        COUNT=len(sums), ROWS=LEAST_CHUNKS, COLUMNS=COLUMNS, ALIGNMENT=ALIGNMENT,
    )  # fmt: skip
    return out


def _empty(sums: Sequence[Tensor]) -> Tensor:
    return sums[0].new_empty(begins((part.size(1) for part in sums), ALIGNMENT)[-1])


_LIBRARY = torch.library.Library("hifigan", "FRAGMENT")
define_operator(_LIBRARY, "add_bias_chunks(Tensor[] sums) -> Tensor", _launch, _empty)


class _ExpandedBiases(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *biases: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        return tuple(bias.detach().expand(chunks(len(bias)), -1) for bias in biases)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *sums: Tensor | None) -> tuple[Tensor | None, ...]:
        results: list[Tensor | None] = [None] * len(sums)
        known = [(place, part) for place, part in enumerate(sums) if part is not None]
        for portion in (known[first : first + MOST_TENSORS] for first in range(0, len(known), MOST_TENSORS)):
            flat = OPERATORS.add_bias_chunks([part for _, part in portion])
            places = begins((part.size(1) for _, part in portion), ALIGNMENT)
            for (place, part), begin in zip(portion, places, strict=False):
                results[place] = flat[begin : begin + part.size(1)]
        return tuple(results)


@contextlib.contextmanager
def added_at_once(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Within this context, layers below `modules` with a bias have an `expanded_bias`, for one backward pass."""
    layers: list[Any] = [layer for module in modules for layer in module.modules()]
    biased = [layer for layer in layers if hasattr(layer, "expanded_bias") and layer.bias is not None]
    for layer, expanded in zip(biased, _ExpandedBiases.apply(*(layer.bias for layer in biased)), strict=True):
        layer.expanded_bias = expanded
    try:
        yield
    finally:
        for layer in biased:
            layer.expanded_bias = None


def check(device: torch.device) -> None:
    """Compare with PyTorch's sums on a device. Raise `AssertionError` if they differ."""
    numbers = torch.Generator().manual_seed(0)
    sums = [torch.randn(chunks(size), size, generator=numbers).to(device) for size in (70, 1, 32)]
    flat = OPERATORS.add_bias_chunks(sums)
    for part, begin in zip(sums, begins((part.size(1) for part in sums), ALIGNMENT), strict=False):
        torch.testing.assert_close(flat[begin : begin + part.size(1)], part.sum(0), rtol=1e-5, atol=1e-5)
