"""LAMB against the algorithm of the paper, written out for one tensor."""

import copy

import numpy as np
import pytest
import torch

from fastpitch.training.lamb import Lamb

LR, BETAS, EPS, DECAY = 0.05, (0.9, 0.98), 1e-6, 0.1


def by_hand(weight: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    """Algorithm 2 of arXiv:1904.00962 in fp64, with phi(z) = z."""
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    for t, gradient in enumerate(gradients, 1):
        mean = BETAS[0] * mean + (1 - BETAS[0]) * gradient
        square = BETAS[1] * square + (1 - BETAS[1]) * gradient**2
        ratio = (mean / (1 - BETAS[0] ** t)) / (np.sqrt(square / (1 - BETAS[1] ** t)) + EPS)
        direction = ratio + DECAY * weight
        weight = weight - LR * np.linalg.norm(weight) / np.linalg.norm(direction) * direction
    return weight


@pytest.mark.parametrize("fused", [False, True])
def test_steps_of_several_tensors(fused):
    rng = np.random.default_rng(0)
    starts = [rng.standard_normal(shape) for shape in ((3, 4), (5,), (2, 3, 2))]
    gradients = [[rng.standard_normal(start.shape) * 10.0**i for i in range(4)] for start in starts]
    weights = [torch.nn.Parameter(torch.tensor(start)) for start in starts]
    optimiser = Lamb(weights, LR, BETAS, EPS, DECAY, fused)
    for step in range(4):
        for weight, own in zip(weights, gradients, strict=True):
            weight.grad = torch.tensor(own[step])
        optimiser.step()
    for weight, start, own in zip(weights, starts, gradients, strict=True):
        np.testing.assert_allclose(weight.detach().numpy(), by_hand(start, own), rtol=1e-6)


@pytest.mark.parametrize("fused", [False, True])
def test_zero_weights_take_adams_step(fused):
    weight = torch.nn.Parameter(torch.zeros(3))
    weight.grad = torch.tensor([1.0, -2.0, 0.5])
    Lamb([weight], LR, BETAS, EPS, 0.0, fused).step()
    np.testing.assert_allclose(weight.detach().numpy(), [-LR, LR, -LR], rtol=1e-4)


def test_a_step_without_gradients_or_with_infinite_ones_changes_nothing():
    weights = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))]
    optimiser = Lamb(weights, LR)
    optimiser.step()
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    weights[0].grad = torch.tensor([1.0, torch.inf])
    scaler.scale(torch.zeros(()))
    scaler.step(optimiser)
    scaler.update()
    assert all(torch.equal(weight, torch.ones(2)) for weight in weights)
    assert not optimiser.state


@pytest.mark.parametrize("clip", [False, True])
def test_fused_steps_are_scaled_and_skipped_without_reading_a_value(clip, monkeypatch):
    """In every other step of fp16 training a gradient is infinite."""
    torch.manual_seed(0)
    starts, gradients = torch.randn(2, 3), torch.randn(6, 2, 3)
    fused, plain = ([torch.nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    optimiser, expected = Lamb(fused, LR, BETAS, EPS, DECAY, fused=True), Lamb(plain, LR, BETAS, EPS, DECAY)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=100)
    for step, own in enumerate(gradients):
        scale = scaler.scale(torch.ones(()))
        infinite = step % 2 == 1
        for weight, gradient in zip(fused, own, strict=True):
            weight.grad = gradient * scale
        if infinite:
            fused[0].grad[1] = torch.inf if step == 1 else torch.nan
        with monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, "item", None)
            if clip:
                scaler.unscale_(optimiser)
                torch.nn.utils.clip_grad_norm_(fused, 1e9)
            scaler.step(optimiser)
        scaler.update()
        if not infinite:
            for weight, gradient in zip(plain, own, strict=True):
                weight.grad = gradient.clone()
            expected.step()
        torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-6)
        for weight, other in zip(fused, plain, strict=True):
            assert optimiser.state[weight]["step"] == expected.state[other]["step"] == step // 2 + 1
            torch.testing.assert_close(optimiser.state[weight], expected.state[other], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
def test_state_is_restored(steps):
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(4)) for _ in range(2)]
    optimisers = [Lamb([weight], LR, BETAS, EPS, DECAY) for weight in weights]
    gradients = torch.randn(steps + 2, 4)
    for gradient in gradients[:steps]:
        weights[0].grad = gradient
        optimisers[0].step()
    weights[1].data = weights[0].data.clone()
    optimisers[1].load_state_dict(copy.deepcopy(optimisers[0].state_dict()))
    for gradient in gradients[steps:]:
        for weight, optimiser in zip(weights, optimisers, strict=True):
            weight.grad = gradient.clone()
            optimiser.step()
    assert torch.equal(*weights)


def test_restored_state_lies_where_the_weights_are():
    """A checkpoint is read to the CPU; tensors of the device "meta" have no values, but are elsewhere."""
    here = torch.nn.Parameter(torch.ones(2))
    here.grad = torch.ones(2)
    optimiser = Lamb([here], LR)
    optimiser.step()
    there = torch.nn.Parameter(torch.ones(2, device="meta"))
    restored = Lamb([there], LR)
    restored.load_state_dict(optimiser.state_dict())
    assert {tensor.device.type for tensor in restored.state[there].values()} == {"meta"}
