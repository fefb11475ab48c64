"""Sums of mean errors over many tensors, in Triton: feature matching and least squares.

PyTorch needs four to six kernels per tensor and direction, and copies of half precision in fp32. Here all tensors are
read once, by one launch, and one launch writes all gradients. Errors are added in fp32, in a fixed order.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from common.machine.triton_kernels import define_operator

BLOCK = 2048  # elements that a program computes at a time
BLOCKS = tl.constexpr(8)  # that a program computes one after the other
PROGRAM_ELEMENTS = BLOCK * BLOCKS.value
MOST_TENSORS = 32  # of a launch, whose arguments have 4 KB
ALIGNMENT_BYTES = 16  # with which a program reads whole vectors
OPERATORS = torch.ops.hifigan
T = TypeVar("T")


@triton.jit
def _pointer(address, like, ALIGNED: tl.constexpr):
    pointer = address.to(like.dtype)
    return tl.multiple_of(pointer, 16) if ALIGNED else pointer


@triton.jit
def _find(xs, ys, sizes, COUNT: tl.constexpr, BLOCK: tl.constexpr):
    """Return this program's tensors: their number, addresses and size, and the first element to compute."""
    program = tl.program_id(0)
    number, begin, end = 0, 0, 0
    x, y = xs[0].to(tl.int64), ys[0].to(tl.int64)
    size = sizes[0]
    for k in tl.static_range(COUNT):
        here = program >= end
        number = tl.where(here, k, number)
        begin = tl.where(here, end, begin)
        x, y = tl.where(here, xs[k].to(tl.int64), x), tl.where(here, ys[k].to(tl.int64), y)
        size = tl.where(here, sizes[k], size)
        end += tl.cdiv(sizes[k], BLOCK * BLOCKS)
    return number, x, y, size, (program - begin) * (BLOCK * BLOCKS)


@triton.jit
def add_errors(
    xs, ys, sizes, ones, sums, COUNT: tl.constexpr, PAIRS: tl.constexpr, ALIGNED: tl.constexpr, BLOCK: tl.constexpr
):
    """Each program's part of the sum over tensors of the mean of |x - y|, or of (x - 1)^2 or x^2."""
    number, x_address, y_address, size, first = _find(xs, ys, sizes, COUNT, BLOCK)
    x, y = _pointer(x_address, xs[0], ALIGNED), _pointer(y_address, ys[0], ALIGNED)
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for step in range(BLOCKS):
        at = first + step * BLOCK + tl.arange(0, BLOCK)
        inside = at < size
        value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        if PAIRS:
            total += tl.abs(value - tl.load(y + at, mask=inside, other=0.0).to(tl.float32))
        else:
            error = tl.where(inside, value - (number < ones).to(tl.float32), 0.0)
            total += error * error
    tl.store(sums + tl.program_id(0), tl.sum(total, axis=0) / size)


@triton.jit
def write_error_gradients(
    xs, ys, gradients, sizes, ones, gradient,
    COUNT: tl.constexpr, PAIRS: tl.constexpr, ALIGNED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients with respect to every x, from that of the sum."""
    number, x_address, y_address, size, first = _find(xs, ys, sizes, COUNT, BLOCK)
    _, out_address, _, _, _ = _find(gradients, ys, sizes, COUNT, BLOCK)
    x, y = _pointer(x_address, xs[0], ALIGNED), _pointer(y_address, ys[0], ALIGNED)
    out = _pointer(out_address, gradients[0], ALIGNED)
    factor = tl.load(gradient) / size
    for step in range(BLOCKS):
        at = first + step * BLOCK + tl.arange(0, BLOCK)
        inside = at < size
        value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        if PAIRS:
            other = tl.load(y + at, mask=inside, other=0.0).to(tl.float32)
            slope = tl.where(value > other, factor, tl.where(value < other, -factor, value - other))
        else:
            slope = 2 * factor * (value - (number < ones).to(tl.float32))
        tl.store(out + at, slope.to(out.dtype.element_ty), mask=inside)


def _arguments(xs: Sequence[Tensor], ys: Sequence[Tensor]) -> tuple[tuple[int, ...], bool, int]:
    """Return the tensors' sizes, whether all are aligned, and the number of programs that they need."""
    sizes = tuple(x.numel() for x in xs)
    assert max(sizes) < 2**31 - PROGRAM_ELEMENTS, "kernels count elements in 32 bits"
    aligned = all(tensor.data_ptr() % ALIGNMENT_BYTES == 0 for tensor in (*xs, *ys))
    return sizes, aligned, sum(triton.cdiv(size, PROGRAM_ELEMENTS) for size in sizes)


def _launch_errors(xs: Sequence[Tensor], ys: Sequence[Tensor], ones: int) -> Tensor:
    sizes, aligned, programs = _arguments(xs, ys)
    sums = _empty_sums(xs, ys, ones)
    add_errors[(programs,)](
        tuple(xs), tuple(ys or xs), sizes, ones, sums, COUNT=len(xs), PAIRS=len(ys) > 0, ALIGNED=aligned, BLOCK=BLOCK
    )
    return sums


def _empty_sums(xs: Sequence[Tensor], ys: Sequence[Tensor], ones: int) -> Tensor:
    programs = sum(-(-x.numel() // PROGRAM_ELEMENTS) for x in xs)
    return xs[0].new_empty(programs, dtype=torch.float32)


def _launch_gradients(xs: Sequence[Tensor], ys: Sequence[Tensor], ones: int, gradient: Tensor) -> list[Tensor]:
    gradients = _empty_gradients(xs, ys, ones, gradient)
    sizes, aligned, programs = _arguments(xs, ys)
    write_error_gradients[(programs,)](
        tuple(xs), tuple(ys or xs), tuple(gradients), sizes, ones, gradient,
        COUNT=len(xs), PAIRS=len(ys) > 0, ALIGNED=aligned, BLOCK=BLOCK,
    )  # fmt: skip
    return gradients


def _empty_gradients(xs: Sequence[Tensor], ys: Sequence[Tensor], ones: int, gradient: Tensor) -> list[Tensor]:
    return [torch.empty_like(x) for x in xs]


_LIBRARY = torch.library.Library("hifigan", "FRAGMENT")
define_operator(_LIBRARY, "mean_errors(Tensor[] xs, Tensor[] ys, int ones) -> Tensor", _launch_errors, _empty_sums)
define_operator(
    _LIBRARY,
    "mean_error_gradients(Tensor[] xs, Tensor[] ys, int ones, Tensor gradient) -> Tensor[]",
    _launch_gradients,
    _empty_gradients,
)


class _SumOfMeanErrors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ones: int, count: int, *tensors: Tensor) -> Tensor:
        ctx.ones, ctx.count = ones, count
        ctx.save_for_backward(*tensors)
        return OPERATORS.mean_errors(tensors[:count], tensors[count:], ones).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        xs, ys = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        results = OPERATORS.mean_error_gradients(xs, ys, ctx.ones, gradients[0])
        return None, None, *results, *([None] * len(ys))


def mean_absolute_errors(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the sum over pairs (x, y) of the mean of |x - y|, in fp32. Gradients are those of x only."""
    total = []
    for portion in _portions([_alike(x, y.detach()) for x, y in pairs]):
        total.append(_SumOfMeanErrors.apply(0, len(portion), *(x for x, _ in portion), *(y for _, y in portion)))
    return functools.reduce(operator.add, total)


def mean_squared_errors(ones: Sequence[Tensor], zeros: Sequence[Tensor]) -> Tensor:
    """Return the sum over tensors of the mean of (x - 1)^2, or of x^2 for `zeros`, in fp32."""
    total = []
    for portion in _portions([(x, target) for target, xs in ((1, ones), (0, zeros)) for x in xs]):
        xs = [x if _is_dense(x) else x.contiguous() for x, _ in portion]
        total.append(_SumOfMeanErrors.apply(sum(target for _, target in portion), len(xs), *xs))
    return functools.reduce(operator.add, total)


def _portions(items: list[tuple[Tensor, T]]) -> Iterator[list[tuple[Tensor, T]]]:
    """Divide what a sum is over into launches, whose first tensors have one type."""
    for dtype in dict.fromkeys(x.dtype for x, _ in items):
        same = [item for item in items if item[0].dtype == dtype]
        for first in range(0, len(same), MOST_TENSORS):
            yield same[first : first + MOST_TENSORS]


def _alike(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return two tensors with the same memory layout, without gaps."""
    return (x, y) if x.stride() == y.stride() and _is_dense(x) else (x.contiguous(), y.contiguous())


def _is_dense(x: Tensor) -> bool:
    return x.is_contiguous() or x.movedim(1, -1).is_contiguous()


def check(device: torch.device) -> None:
    """Compare with PyTorch's operators on a device. Raise `AssertionError` if they differ."""
    numbers = torch.Generator().manual_seed(0)
    shapes = ((2, 3, 5), (1, PROGRAM_ELEMENTS + 7), (4, 1, 20))
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float16, 1e-3), (torch.bfloat16, 1e-2)):
        xs, ys = ([torch.randn(s, generator=numbers).to(device, dtype) for s in shapes] for _ in range(2))
        for x in xs:
            x.requires_grad_()
        fp32 = [x.float() for x in xs]
        distances = [F.l1_loss(x, y.float()) for x, y in zip(fp32, ys, strict=True)]
        squares = [(fp32[0] - 1).square().mean(), *(x.square().mean() for x in fp32[1:])]
        expected = (torch.stack(distances).sum(), torch.stack(squares).sum())
        actual = (mean_absolute_errors([*zip(xs, ys, strict=True)]), mean_squared_errors(xs[:1], xs[1:]))
        for sums in zip(actual, expected, strict=True):
            gradients = [torch.autograd.grad(64 * total, xs, retain_graph=True) for total in sums]
            for one, other in zip((sums[0], *gradients[0]), (sums[1], *gradients[1]), strict=True):
                torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance / 100)
