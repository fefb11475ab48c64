"""The moving average against its closed form."""

import torch
from torch import nn

from common.training.moving_average import EMA


def test_closed_form():
    module = nn.Linear(2, 3)
    start = module.weight.detach().clone()
    ema = EMA(module, decay=0.75)
    assert torch.equal(ema.module.weight, start)
    with torch.no_grad():
        module.weight += 1
    for _ in range(3):
        ema.update(module, torch.ones(()))
        ema.update(module, torch.zeros(()))  # a skipped step
    torch.testing.assert_close(ema.module.weight, start + 1 - 0.75**3)
    assert not ema.module.weight.requires_grad
    assert not ema.module.training
    assert module.weight.requires_grad
