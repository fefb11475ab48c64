"""TorchScript without the warnings of its deprecation."""

import warnings

import torch
from torch import nn

from common.machine.pytorch import torchscript


def test_a_module_survives_a_round_trip_without_warnings(tmp_path):
    module, x = nn.Linear(3, 2), torch.randn(4, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scripted = torchscript.script(module)
        scripted.save(tmp_path / "a.ts")
        loaded = torchscript.load(tmp_path / "a.ts", torch.device("cpu"))
    assert torch.equal(loaded(x), module(x))
