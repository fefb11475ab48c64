"""LAMB (You et al. 2019, arXiv:1904.00962, algorithm 2): Adam with steps scaled to the norm of each weight tensor.

This is the recipe's optimiser. Its learning rate may be a hundred times Adam's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Lamb(torch.optim.Optimizer):
    """LAMB with bias correction. Weight decay is part of the scaled direction.

    Args:
        parameters: tensors.
        lr: length of a step relative to the norm of the weights.
        betas: as in Adam, likewise eps and weight_decay.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-9,
        weight_decay: float = 1e-6,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state and move the step counts, which PyTorch leaves on the CPU, to the device of the weights."""
        super().load_state_dict(state_dict)
        for weight, state in self.state.items():
            state["step"] = state["step"].to(weight.device)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._step(group, weights)

    def _step(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {
                    "step": torch.zeros((), device=weight.device),
                    "exp_avg": torch.zeros_like(weight),
                    "exp_avg_sq": torch.zeros_like(weight),
                }
        states = [self.state[weight] for weight in weights]
        gradients: list[Tensor] = [weight.grad for weight in weights]  # type: ignore[misc]
        means, squares, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
        beta1, beta2 = group["betas"]
        torch._foreach_add_(steps, 1)
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        # All tensors share the count. It stays on their device, since reading it would wait for the device.
        correction1, correction2 = 1 - beta1 ** steps[0], 1 - beta2 ** steps[0]
        divisors = torch._foreach_sqrt(torch._foreach_div(squares, correction2))
        torch._foreach_add_(divisors, group["eps"])
        directions = torch._foreach_div(torch._foreach_div(means, correction1), divisors)
        torch._foreach_add_(directions, weights, alpha=group["weight_decay"])
        weight_norms = torch.stack(torch._foreach_norm(weights))
        direction_norms = torch.stack(torch._foreach_norm(directions))
        # Zero weights, such as new biases, take Adam's step.
        ratios = torch.where((weight_norms > 0) & (direction_norms > 0), weight_norms / direction_norms, 1.0)
        torch._foreach_mul_(directions, (-group["lr"] * ratios).unbind())
        torch._foreach_add_(weights, directions)
