"""Exponential moving average of a model's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class EMA:
    """Copy of a module whose weights follow it: average <- decay * average + (1 - decay) * weight.

    It starts equal to the module. Buffers are not averaged, so the module must not change its buffers.

    Args:
        module: the module to follow.
        decay: between 0 and 1.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, made: Tensor) -> None:
        """Update the average after an optimiser step.

        Args:
            module: the module to follow.
            made: 1, or 0 if the step was skipped, as a tensor on the device, so that nothing waits for its value.
        """
        averages: list[Tensor] = list(self.module.parameters())
        weights: list[Tensor] = list(module.parameters())
        change = list(torch._foreach_sub(weights, averages))
        torch._foreach_mul_(change, (1 - self.decay) * made)
        torch._foreach_add_(averages, change)
