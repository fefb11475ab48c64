"""Gradients collected in one piece of memory."""

import torch
from torch import nn

from common.machine.gradient_buffer import GradientBuffer


def test_an_optimiser_steps_alike_with_collected_gradients(monkeypatch):
    """With gradients that another process doubles, and over steps that begin without gradients."""

    def doubled(values):
        values.mul_(4)  # the sum over two processes, of which the other has three times the gradient

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", doubled)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    optimiser = torch.optim.SGD(module.parameters(), 0.1)
    buffer = GradientBuffer(module.parameters())
    for _ in range(2):
        optimiser.zero_grad()
        before = [parameter.detach().clone() for parameter in module.parameters()]
        module(torch.randn(5, 3)).square().mean().backward()
        own = [parameter.grad.clone() for parameter in module.parameters()]
        buffer.collect()
        buffer.average()
        optimiser.step()
        for parameter, start, gradient in zip(module.parameters(), before, own, strict=True):
            torch.testing.assert_close(parameter.grad, 2 * gradient)
            torch.testing.assert_close(parameter.detach(), start - 0.1 * 2 * gradient)


def test_one_process_averages_nothing():
    parameter = nn.Parameter(torch.ones(2))
    buffer = GradientBuffer([parameter])
    parameter.grad = torch.tensor([1.0, 3.0])
    buffer.collect()
    buffer.average()
    assert parameter.grad.tolist() == [1, 3]
