"""Power iterations of all spectral norms of a discriminator at once, in Triton.

An iteration v <- norm(W^T u), u <- norm(W v) of one layer takes ten short kernels of PyTorch. Here three launches
serve all layers.

All programs add in a fixed order, and all iterations are computed alike, whether a call uses them or not. So vectors
are the same to the bit in every run, and in all processes, which use different ones.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Protocol

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from common.machine import triton_kernels

ROWS, COLUMNS = 16, 64  # of a weight matrix in one program
CHUNK = 64  # rows or columns that a program adds at a time
LEAST_NORM = 1e-12  # as in torch.nn.functional.normalize

Vectors = tuple[Tensor, Tensor]  # u and v


@triton.jit
def _right_vectors(tasks, layers, us, vs, COLUMNS: tl.constexpr, CHUNK: tl.constexpr):
    """v = W^T u, for one block of columns of one layer."""
    task = tasks + 2 * tl.program_id(0)
    layer = layers + 5 * tl.load(task)
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
    layer = layers + 5 * tl.load(task)
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
def _normalise(layers, us, vs, eps, CHUNK: tl.constexpr):
    """Divide the vectors u and v of one layer by their norms."""
    layer = layers + 5 * tl.program_id(0)
    u, v = us + tl.load(layer + 3), vs + tl.load(layer + 4)
    _scale(u, tl.load(layer + 1), eps, CHUNK)
    _scale(v, tl.load(layer + 2), eps, CHUNK)


@triton.jit
def _scale(vector, length, eps, CHUNK: tl.constexpr):
    squares = tl.zeros((CHUNK,), dtype=tl.float32)
    for first in range(0, length, CHUNK):
        at = first + tl.arange(0, CHUNK)
        part = tl.load(vector + at, mask=at < length, other=0.0)
        squares += part * part
    factor = 1.0 / tl.maximum(tl.sqrt(tl.sum(squares, axis=0)), eps)
    for first in range(0, length, CHUNK):
        at = first + tl.arange(0, CHUNK)
        tl.store(vector + at, tl.load(vector + at, mask=at < length) * factor, mask=at < length)


def _launch_half(side: int, tasks: Tensor, layers: Tensor, us: Tensor, vs: Tensor, weights: Sequence[Tensor]) -> None:
    # `weights` are read through their addresses in `layers`. As arguments they tell PyTorch what is read.
    if side:
        _left_vectors[(len(tasks),)](tasks, layers, us, vs, ROWS, CHUNK)
    else:
        _right_vectors[(len(tasks),)](tasks, layers, us, vs, COLUMNS, CHUNK)


def _launch_normalise(layers: Tensor, us: Tensor, vs: Tensor) -> None:
    _normalise[(len(layers),)](layers, us, vs, LEAST_NORM, CHUNK)


_LIBRARY = torch.library.Library("hifigan", "FRAGMENT")
triton_kernels.define_operator(
    _LIBRARY,
    "power_iteration_half(int side, Tensor tasks, Tensor layers, Tensor(a!) us, Tensor(b!) vs, Tensor[] weights) -> ()",
    _launch_half,
    lambda *args: None,
)
triton_kernels.define_operator(
    _LIBRARY,
    "normalise_vectors(Tensor layers, Tensor(a!) us, Tensor(b!) vs) -> ()",
    _launch_normalise,
    lambda *args: None,
)


class Normed(Protocol):
    """A layer with spectral norm: `hifigan.layers.SpectralNormConv1d`."""

    upcoming: Sequence[Vectors]  # of its next calls

    @property
    def weight_orig(self) -> Tensor:
        """[O, ...]"""

    @property
    def weight_u(self) -> Tensor:
        """[O]"""

    @property
    def weight_v(self) -> Tensor:
        """[numel / O]"""


class PowerIterations:
    """Iterates the vectors of several layers together.

    Args:
        convs: on the GPU. Their parameters and buffers must keep their memory, as they do in training.
    """

    def __init__(self, convs: Sequence[Normed]) -> None:
        self._convs = convs
        self._weights = [conv.weight_orig.detach().flatten(1) for conv in convs]
        self._rows = [len(weight) for weight in self._weights]
        self._columns = [weight.size(1) for weight in self._weights]
        device = self._weights[0].device
        layers = zip(
            [triton_kernels.address(weight) for weight in self._weights],
            self._rows,
            self._columns,
            _offsets(self._rows),
            _offsets(self._columns),
            strict=True,
        )
        self._layers = torch.tensor(list(layers), dtype=torch.int64, device=device)
        self._tasks = [
            _blocks(sizes, step).to(device) for sizes, step in ((self._columns, COLUMNS), (self._rows, ROWS))
        ]

    @torch.no_grad()
    def advance(self, count: int, kept: int = 0) -> None:
        """Advance the stored vectors by `count + kept` iterations. The layers' next `kept` calls use the last ones."""
        us = torch.cat([conv.weight_u for conv in self._convs])
        vs = torch.cat([conv.weight_v for conv in self._convs])
        upcoming: list[list[Vectors]] = [[] for _ in self._convs]
        for number in range(count + kept):
            if number > count:  # the calls' backward passes need the vectors
                us, vs = us.clone(), vs.clone()
            for side, tasks in enumerate(self._tasks):
                torch.ops.hifigan.power_iteration_half(side, tasks, self._layers, us, vs, self._weights)
            torch.ops.hifigan.normalise_vectors(self._layers, us, vs)
            if number < count:
                continue
            for calls, u, v in zip(upcoming, us.split(self._rows), vs.split(self._columns), strict=True):
                calls.append((u, v))
        if count + kept:
            torch._foreach_copy_([conv.weight_u for conv in self._convs], list(us.split(self._rows)))
            torch._foreach_copy_([conv.weight_v for conv in self._convs], list(vs.split(self._columns)))
        for conv, calls in zip(self._convs, upcoming, strict=True):
            conv.upcoming = tuple(calls) if kept else ()


def _offsets(sizes: Sequence[int]) -> list[int]:
    return [sum(sizes[:number]) for number in range(len(sizes))]


def _blocks(sizes: Sequence[int], step: int) -> Tensor:
    """Return (layer, first row or column) of each program."""
    return torch.tensor([(layer, first) for layer, size in enumerate(sizes) for first in range(0, size, step)])


def check(device: torch.device) -> None:
    """Compare with PyTorch's operators on a device. Raise `AssertionError` if they differ."""
    generator = torch.Generator().manual_seed(0)
    layers, expected = [], []
    for shape in ((70, 4, 5), (6, 33, 3), (1, 3, 3)):
        weight = torch.randn(shape, generator=generator)
        u, v = torch.randn(len(weight), generator=generator), weight[0].flatten()
        layers.append(
            types.SimpleNamespace(weight_orig=weight.to(device), weight_u=u.to(device), weight_v=v.to(device))
        )
        for _ in range(3):
            v = F.normalize(weight.flatten(1).t() @ u, dim=0)
            u = F.normalize(weight.flatten(1) @ v, dim=0)
        expected.append((u, v))
    PowerIterations(layers).advance(2, kept=1)
    for layer, (u, v) in zip(layers, expected, strict=True):
        for actual in ((layer.weight_u, layer.weight_v), *layer.upcoming):
            torch.testing.assert_close(actual[0].cpu(), u, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(actual[1].cpu(), v, rtol=1e-4, atol=1e-5)
