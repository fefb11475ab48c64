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
        fused: compute moments and directions with PyTorch's fused Adam, which skips non-finite gradients itself. Then
            `GradScaler` does not wait for a GPU to find them. Results differ by rounding.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-9,
        weight_decay: float = 1e-6,
        fused: bool = False,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self._step_supports_amp_scaling = fused  # read by GradScaler, which sets found_inf and grad_scale in a step

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
        found_inf = getattr(self, "found_inf", None)
        torch._foreach_add_(steps, 1)
        if self._step_supports_amp_scaling:
            # Adam subtracts the learning rate times the direction from its weights, or nothing if found_inf is 1.
            directions = list(torch._foreach_mul(weights, 0.0))
            torch._fused_adam_(
                directions,
                gradients,
                means,
                squares,
                [],
                steps,
                lr=-1.0,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=0.0,
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
                grad_scale=getattr(self, "grad_scale", None),
                found_inf=found_inf,
            )
        else:
            directions = _adam_directions(gradients, means, squares, steps, group["betas"], group["eps"])
        torch._foreach_add_(directions, weights, alpha=group["weight_decay"])
        weight_norms = torch.stack(torch._foreach_norm(weights))
        direction_norms = torch.stack(torch._foreach_norm(directions))
        # Zero weights, such as new biases, take Adam's step.
        ratios = torch.where((weight_norms > 0) & (direction_norms > 0), weight_norms / direction_norms, 1.0)
        if found_inf is not None:
            torch._foreach_sub_(steps, [found_inf] * len(steps))
            ratios = torch.where(found_inf > 0, 0.0, ratios)
        torch._foreach_mul_(directions, (-group["lr"] * ratios).unbind())
        torch._foreach_add_(weights, directions)


def _adam_directions(
    gradients: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    steps: list[Tensor],
    betas: tuple[float, float],
    eps: float,
) -> list[Tensor]:
    """Update the moments of the gradients, and return Adam's directions."""
    beta1, beta2 = betas
    torch._foreach_lerp_(means, gradients, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
    # All tensors share the count. It stays on their device, since reading it would wait for the device.
    correction1, correction2 = 1 - beta1 ** steps[0], 1 - beta2 ** steps[0]
    divisors = torch._foreach_sqrt(torch._foreach_div(squares, correction2))
    torch._foreach_add_(divisors, eps)
    return list(torch._foreach_div(torch._foreach_div(means, correction1), divisors))
