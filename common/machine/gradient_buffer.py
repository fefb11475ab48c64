"""Gradients of a module in one piece of memory, to average them over processes in one exchange."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn


class GradientBuffer:
    """Copies of all gradients of some parameters, one after the other.

    Beside `DistributedDataParallel`, which exchanges gradients during the backward pass, this keeps computation and
    exchange apart, so that the computation can be recorded in CUDA graphs.

    Args:
        parameters: of one type, on one device. All get a gradient in each backward pass.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        self._all = torch.zeros(
            sum(parameter.numel() for parameter in self._parameters),
            dtype=self._parameters[0].dtype,
            device=self._parameters[0].device,
        )
        sizes = [parameter.numel() for parameter in self._parameters]
        self._views = [
            part.view_as(parameter) for part, parameter in zip(self._all.split(sizes), self._parameters, strict=True)
        ]

    @torch.no_grad()
    def collect(self) -> None:
        """Move the gradients of the last backward pass here."""
        gradients: list[Tensor] = []
        for parameter in self._parameters:
            assert parameter.grad is not None
            gradients.append(parameter.grad)
        torch._foreach_copy_(self._views, gradients)
        for parameter, view in zip(self._parameters, self._views, strict=True):
            parameter.grad = view

    def average(self) -> None:
        """Replace the gradients by their means over all processes."""
        if dist.is_initialized():
            dist.all_reduce(self._all)
            self._all.div_(dist.get_world_size())
