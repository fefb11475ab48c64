"""Kernels that compute the weights of many layers in one launch: g * v / ||v|| of weight norm, and copies of others.

A row has one norm: it is what weight norm keeps of an output channel (transposed convolutions: of an input channel).
Weights without norm are cut into rows of any size. Sums are in fp32, in a fixed order.

`weights` [number, FIELDS] holds for each weight the addresses of v and g (0 without norm), its first row, the elements
of a row and of the weight, its first element in the result, and its first element if no gaps were between weights.
`rows` holds the weight of each row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from common.machine.triton_kernels import define_operator

BLOCK = 512  # elements that a program computes at a time
FIELDS = tl.constexpr(7)


@triton.jit
def _row(weights, rows):
    """Find this program's row: addresses of its v and its g, its length, and where it begins in three tensors."""
    row = tl.program_id(0)
    weight = weights + tl.load(rows + row) * FIELDS
    values, norms = tl.load(weight), tl.load(weight + 1)
    index = row - tl.load(weight + 2)
    length = tl.load(weight + 3)
    begin = index * length
    length = tl.minimum(length, tl.load(weight + 4) - begin)
    v = values.to(tl.pointer_type(tl.float32)) + begin
    return v, norms, index, length, tl.load(weight + 5) + begin, tl.load(weight + 6) + begin


@triton.jit
def write_weights(weights, rows, flat, lengths, BLOCK: tl.constexpr):
    """flat = g * v / ||v||, or v where there is no g. `lengths` = ||v||."""
    v, norms, index, length, place, _ = _row(weights, rows)
    scale = tl.full((), 1.0, tl.float32)
    if norms != 0:
        squares = tl.zeros((BLOCK,), dtype=tl.float32)
        for first in range(0, length, BLOCK):
            at = first + tl.arange(0, BLOCK)
            part = tl.load(v + at, mask=at < length, other=0.0)
            squares += part * part
        norm = tl.sqrt(tl.sum(squares, axis=0))
        tl.store(lengths + tl.program_id(0), norm)
        scale = tl.load(norms.to(tl.pointer_type(tl.float32)) + index) / norm
    for first in range(0, length, BLOCK):
        at = first + tl.arange(0, BLOCK)
        part = tl.load(v + at, mask=at < length, other=0.0) * scale
        tl.store(flat + place + at, part.to(flat.dtype.element_ty), mask=at < length)


@triton.jit
def write_gradients(weights, rows, packed, lengths, grad_v, grad_g, BLOCK: tl.constexpr):
    """Gradients of v and g, from those of the weights one after the other in `packed`."""
    v, norms, index, length, place, source = _row(weights, rows)
    scale = tl.full((), 1.0, tl.float32)
    shift = tl.full((), 0.0, tl.float32)
    if norms != 0:
        products = tl.zeros((BLOCK,), dtype=tl.float32)
        for first in range(0, length, BLOCK):
            at = first + tl.arange(0, BLOCK)
            gradient = tl.load(packed + source + at, mask=at < length, other=0.0).to(tl.float32)
            products += gradient * tl.load(v + at, mask=at < length, other=0.0)
        norm = tl.load(lengths + tl.program_id(0))
        along = tl.sum(products, axis=0) / norm  # the gradient's part along v
        tl.store(grad_g + tl.program_id(0), along)
        scale = tl.load(norms.to(tl.pointer_type(tl.float32)) + index) / norm
        shift = along / norm
    for first in range(0, length, BLOCK):
        at = first + tl.arange(0, BLOCK)
        gradient = tl.load(packed + source + at, mask=at < length, other=0.0).to(tl.float32)
        if norms != 0:
            gradient = scale * (gradient - shift * tl.load(v + at, mask=at < length, other=0.0))
        tl.store(grad_v + place + at, gradient, mask=at < length)


def _launch_weights(
    weights: Tensor, rows: Tensor, parameters: Sequence[Tensor], size: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    # `parameters` are read through their addresses in `weights`. As arguments they tell PyTorch what is read.
    flat, lengths = _empty_weights(weights, rows, parameters, size, dtype)
    write_weights[(len(rows),)](weights, rows, flat, lengths, BLOCK)
    return flat, lengths


def _empty_weights(
    weights: Tensor, rows: Tensor, parameters: Sequence[Tensor], size: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    return weights.new_empty(size, dtype=dtype), weights.new_empty(len(rows), dtype=torch.float32)


def _launch_gradients(
    weights: Tensor, rows: Tensor, parameters: Sequence[Tensor], packed: Tensor, lengths: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    grad_v, grad_g = _empty_gradients(weights, rows, parameters, packed, lengths, size)
    write_gradients[(len(rows),)](weights, rows, packed, lengths, grad_v, grad_g, BLOCK)
    return grad_v, grad_g


def _empty_gradients(
    weights: Tensor, rows: Tensor, parameters: Sequence[Tensor], packed: Tensor, lengths: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    return lengths.new_empty(size), torch.empty_like(lengths)


OPERATORS = torch.ops.hifigan
_LIBRARY = torch.library.Library("hifigan", "FRAGMENT")
define_operator(
    _LIBRARY,
    "normed_weights(Tensor weights, Tensor rows, Tensor[] parameters, int size, ScalarType dtype) -> (Tensor, Tensor)",
    _launch_weights,
    _empty_weights,
)
define_operator(
    _LIBRARY,
    "normed_weight_gradients(Tensor weights, Tensor rows, Tensor[] parameters, Tensor packed, Tensor lengths, int size)"
    " -> (Tensor, Tensor)",
    _launch_gradients,
    _empty_gradients,
)
