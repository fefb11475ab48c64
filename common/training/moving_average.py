"""Exponential moving average of a model's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class EMA:
    """A copy of `module` whose weights follow it: average <- decay * average + (1 - decay) * weight.

    Starts equal to the module. Buffers are not averaged: those of the module must stay as they are.

    Args:
        module: what is averaged; not kept.
        decay: between 0 and 1.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, made: Tensor) -> None:
        """Call after each optimiser step.

        Args:
            module: the one that is averaged.
            made: 1, or 0 if the step was left out; a tensor on the device, so that nothing waits for its value.
        """
        averages: list[Tensor] = list(self.module.parameters())
        weights: list[Tensor] = list(module.parameters())
        change = list(torch._foreach_sub(weights, averages))
        torch._foreach_mul_(change, (1 - self.decay) * made)
        torch._foreach_add_(averages, change)
