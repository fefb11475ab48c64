"""Exponential moving average of a model's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class EMA:
    """A copy of `module` whose weights follow it: average <- decay * average + (1 - decay) * weight.

    Starts equal to the module. Modules without floating-point buffers only: buffers are not averaged.

    Args:
        module: what is averaged; not kept.
        decay: between 0 and 1.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Call after each optimiser step that changed the weights."""
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), 1 - self.decay)
