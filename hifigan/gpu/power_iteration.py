"""Power iterations of all spectral norms of a discriminator at once, in Triton. See `power_iteration_kernels`.

An iteration v <- norm(W^T u), u <- norm(W v) of one layer takes ten short kernels of PyTorch. Here three launches
serve all layers. The largest singular value is sigma = u^T W v, with the gradient u v^T: one launch for all layers.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from common.machine import triton_kernels
from hifigan.gpu.power_iteration_kernels import COLUMNS, OPERATORS, ROWS


class Normed(Protocol):
    """A layer with spectral norm: `hifigan.layers.SpectralNormConv1d`."""

    sigmas: Tensor | None  # of its next calls

    @property
    def weight_orig(self) -> Tensor:
        """[O, ...]"""

    @property
    def weight_u(self) -> Tensor:
        """[O]"""

    @property
    def weight_v(self) -> Tensor:
        """[numel / O]"""


class _Sigmas(torch.autograd.Function):
    """Lets gradients of the singular values [layers, calls] reach the weights."""

    @staticmethod
    def forward(ctx: Any, iterations: PowerIterations, sigmas: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.iterations = iterations
        ctx.save_for_backward(*tensors[: 2 * sigmas.size(1)])
        return sigmas.unbind()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        vectors = ctx.saved_tensors
        calls = len(vectors) // 2
        of_weights = ctx.iterations.gradients(vectors[:calls], vectors[calls:], torch.stack(gradients))
        return None, None, *[None] * len(vectors), *of_weights


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
        self._begins = triton_kernels.begins(weight.numel() for weight in self._weights)
        device = self._weights[0].device
        layers = zip(
            [triton_kernels.address(weight) for weight in self._weights],
            self._rows,
            self._columns,
            triton_kernels.begins(self._rows),
            triton_kernels.begins(self._columns),
            self._begins,
            strict=False,
        )
        self._layers = torch.tensor(list(layers), dtype=torch.int64, device=device)
        self._tasks = [
            _blocks(sizes, step).to(device) for sizes, step in ((self._columns, COLUMNS), (self._rows, ROWS))
        ]

    def advance(self, count: int, kept: int = 0) -> None:
        """Advance the stored vectors by `count + kept` iterations. The layers' next `kept` calls use the last ones."""
        with torch.no_grad():
            us, vs, sigmas = self._iterate(count, kept)
        of_layers: Sequence[Tensor | None] = [None] * len(self._convs)
        if kept:
            of_layers = _Sigmas.apply(self, sigmas, *us, *vs, *(conv.weight_orig for conv in self._convs))
        for conv, values in zip(self._convs, of_layers, strict=True):
            conv.sigmas = values

    def _iterate(self, count: int, kept: int) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Return u and v of each kept iteration for all layers, and the singular values [layers, kept]."""
        us = [torch.cat([conv.weight_u for conv in self._convs])]
        vs = [torch.cat([conv.weight_v for conv in self._convs])]
        sigmas = us[0].new_empty(len(self._convs), max(kept, 1))
        for number in range(count + kept):
            if number > count:  # the calls' backward passes need the vectors
                us.append(us[-1].clone())
                vs.append(vs[-1].clone())
            for side, tasks in enumerate(self._tasks):
                OPERATORS.power_iteration_half(side, tasks, self._layers, us[-1], vs[-1], self._weights)
            OPERATORS.normalise_vectors(self._layers, us[-1], vs[-1], sigmas, max(number - count, 0))
        if count + kept:
            torch._foreach_copy_([conv.weight_u for conv in self._convs], list(us[-1].split(self._rows)))
            torch._foreach_copy_([conv.weight_v for conv in self._convs], list(vs[-1].split(self._columns)))
        return us, vs, sigmas

    def gradients(self, us: Sequence[Tensor], vs: Sequence[Tensor], sigmas: Tensor) -> list[Tensor]:
        """Return the gradients of the weights from those of the singular values [layers, calls]."""
        flat = OPERATORS.sigma_gradients(self._tasks[1], self._layers, us, vs, sigmas, self._begins[-1])
        return [
            flat[begin : begin + weight.numel()].view_as(conv.weight_orig)
            for begin, weight, conv in zip(self._begins, self._weights, self._convs, strict=False)
        ]


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
            types.SimpleNamespace(
                weight_orig=weight.to(device, copy=True).requires_grad_(),
                weight_u=u.to(device, copy=True),
                weight_v=v.to(device, copy=True),
            )
        )
        for _ in range(3):
            v = F.normalize(weight.flatten(1).t() @ u, dim=0)
            u = F.normalize(weight.flatten(1) @ v, dim=0)
        expected.append((u, v, (weight.flatten(1) @ v).norm()[None]))
    PowerIterations(layers).advance(2, kept=1)
    for layer, (u, v, sigma) in zip(layers, expected, strict=True):
        for actual, wanted in ((layer.weight_u, u), (layer.weight_v, v), (layer.sigmas, sigma)):
            torch.testing.assert_close(actual.cpu(), wanted, rtol=1e-4, atol=1e-5)
        (gradient,) = torch.autograd.grad(layer.sigmas.sum(), layer.weight_orig, retain_graph=True)
        torch.testing.assert_close(gradient.flatten(1).cpu(), u[:, None] * v, rtol=1e-4, atol=1e-5)
