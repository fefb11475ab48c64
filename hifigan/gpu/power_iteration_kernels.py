"""Kernels for the power iterations of all layers with spectral norm.

All programs add in a fixed order, and all iterations are computed alike, whether a call uses them or not. So vectors
are the same to the bit in every run, and in all processes, which use different ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from common.machine.triton_kernels import define_operator

ROWS, COLUMNS = 16, 64  # of a weight matrix in one program
CHUNK = 64  # rows or columns that a program adds at a time
LEAST_NORM = 1e-12  # as in torch.nn.functional.normalize
FIELDS = tl.constexpr(6)  # of a layer: address, rows, columns, and its first elements in us, vs and all weights
OPERATORS = torch.ops.hifigan


@triton.jit
def _right_vectors(tasks, layers, us, vs, COLUMNS: tl.constexpr, CHUNK: tl.constexpr):
    """v = W^T u, for one block of columns of one layer."""
    task = tasks + 2 * tl.program_id(0)
    layer = layers + FIELDS * tl.load(task)
    weight = tl.load(layer).to(tl.pointer_type(tl.float32))
    rows, columns = tl.load(layer + 1), tl.load(layer + 2)
    u, v = us + tl.load(layer + 3), vs + tl.load(layer + 4)
    column = tl.load(task + 1) + tl.arange(0, COLUMNS)
    inside = column < columns
    total = tl.zeros((COLUMNS,), dtype=tl.float32)
    for first in range(0, rows, CHUNK):
        row = first + tl.arange(0, CHUNK)
        left = tl.load(u + row, mask=row < rows, other=0.0)
        part = tl.load(
            weight + row[:, None] * columns + column[None, :],
            mask=(row[:, None] < rows) & inside[None, :],
            other=0.0,
        )
        total += tl.sum(part * left[:, None], axis=0)
    tl.store(v + column, total, mask=inside)


@triton.jit
def _left_vectors(tasks, layers, us, vs, ROWS: tl.constexpr, CHUNK: tl.constexpr):
    """u = W v, for one block of rows of one layer."""
    task = tasks + 2 * tl.program_id(0)
    layer = layers + FIELDS * tl.load(task)
    weight = tl.load(layer).to(tl.pointer_type(tl.float32))
    rows, columns = tl.load(layer + 1), tl.load(layer + 2)
    u, v = us + tl.load(layer + 3), vs + tl.load(layer + 4)
    row = tl.load(task + 1) + tl.arange(0, ROWS)
    inside = row < rows
    total = tl.zeros((ROWS,), dtype=tl.float32)
    for first in range(0, columns, CHUNK):
        column = first + tl.arange(0, CHUNK)
        right = tl.load(v + column, mask=column < columns, other=0.0)
        part = tl.load(
            weight + row[:, None] * columns + column[None, :],
            mask=inside[:, None] & (column[None, :] < columns),
            other=0.0,
        )
        total += tl.sum(part * right[None, :], axis=1)
    tl.store(u + row, total, mask=inside)


@triton.jit
def _normalise(layers, us, vs, sigmas, call, calls, eps, CHUNK: tl.constexpr):
    """Divide the vectors u and v of one layer by their norms. Since u = W v, their quotient is sigma."""
    layer = layers + FIELDS * tl.program_id(0)
    u, v = us + tl.load(layer + 3), vs + tl.load(layer + 4)
    norm_u = _scale(u, tl.load(layer + 1), eps, CHUNK)
    norm_v = _scale(v, tl.load(layer + 2), eps, CHUNK)
    tl.store(sigmas + tl.program_id(0) * calls + call, norm_u / norm_v)


@triton.jit
def _scale(vector, length, eps, CHUNK: tl.constexpr):
    squares = tl.zeros((CHUNK,), dtype=tl.float32)
    for first in range(0, length, CHUNK):
        at = first + tl.arange(0, CHUNK)
        part = tl.load(vector + at, mask=at < length, other=0.0)
        squares += part * part
    norm = tl.maximum(tl.sqrt(tl.sum(squares, axis=0)), eps)
    factor = 1.0 / norm
    for first in range(0, length, CHUNK):
        at = first + tl.arange(0, CHUNK)
        tl.store(vector + at, tl.load(vector + at, mask=at < length) * factor, mask=at < length)
    return norm


@triton.jit
def _sigma_gradients(
    tasks, layers, us, vs, gradients, out, CALLS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """The sum over calls of u v^T times the gradient of sigma, for one block of rows of one layer."""
    task = tasks + 2 * tl.program_id(0)
    number = tl.load(task)
    layer = layers + FIELDS * number
    rows, columns = tl.load(layer + 1), tl.load(layer + 2)
    first_row, first_column = tl.load(layer + 3), tl.load(layer + 4)
    row = tl.load(task + 1) + tl.arange(0, ROWS)
    out += tl.load(layer + 5)
    for first in range(0, columns, COLUMNS):
        column = first + tl.arange(0, COLUMNS)
        total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
        for call in tl.static_range(CALLS):
            u = tl.load(us[call] + first_row + row, mask=row < rows, other=0.0)
            v = tl.load(vs[call] + first_column + column, mask=column < columns, other=0.0)
            total += (tl.load(gradients + number * CALLS + call) * u)[:, None] * v[None, :]
        inside = (row[:, None] < rows) & (column[None, :] < columns)
        tl.store(out + row[:, None] * columns + column[None, :], total, mask=inside)


def _launch_half(side: int, tasks: Tensor, layers: Tensor, us: Tensor, vs: Tensor, weights: Sequence[Tensor]) -> None:
    # `weights` are read through their addresses in `layers`. As arguments they tell PyTorch what is read.
    if side:
        _left_vectors[(len(tasks),)](tasks, layers, us, vs, ROWS, CHUNK)
    else:
        _right_vectors[(len(tasks),)](tasks, layers, us, vs, COLUMNS, CHUNK)


def _launch_normalise(layers: Tensor, us: Tensor, vs: Tensor, sigmas: Tensor, call: int) -> None:
    _normalise[(len(layers),)](layers, us, vs, sigmas, call, sigmas.size(1), LEAST_NORM, CHUNK)


def _launch_gradients(
    tasks: Tensor, layers: Tensor, us: Sequence[Tensor], vs: Sequence[Tensor], gradients: Tensor, size: int
) -> Tensor:
    out = gradients.new_empty(size)
    _sigma_gradients[(len(tasks),)](
        tasks, layers, tuple(us), tuple(vs), gradients, out, CALLS=len(us), ROWS=ROWS, COLUMNS=COLUMNS
    )
    return out


_LIBRARY = torch.library.Library("hifigan", "FRAGMENT")
define_operator(
    _LIBRARY,
    "power_iteration_half(int side, Tensor tasks, Tensor layers, Tensor(a!) us, Tensor(b!) vs, Tensor[] weights) -> ()",
    _launch_half,
    lambda *args: None,
)
define_operator(
    _LIBRARY,
    "normalise_vectors(Tensor layers, Tensor(a!) us, Tensor(b!) vs, Tensor(c!) sigmas, int call) -> ()",
    _launch_normalise,
    lambda *args: None,
)
define_operator(
    _LIBRARY,
    "sigma_gradients(Tensor tasks, Tensor layers, Tensor[] us, Tensor[] vs, Tensor gradients, int size) -> Tensor",
    _launch_gradients,
    lambda tasks, layers, us, vs, gradients, size: gradients.new_empty(size),
)
