"""Copies between CPU and GPU go through pinned memory. On the CPU there is nothing to copy."""

import pytest
import torch

from hifigan.engine import transfers
from hifigan.engine.transfers import on_device, start_to_host, to_device, wait
from tests.support.gpu.stand_in import Gpu

CPU = torch.device("cpu")


def test_nothing_is_copied_on_the_cpu():
    tensor = torch.ones(3)
    assert to_device(tensor, CPU) is tensor
    assert start_to_host(tensor) is tensor
    wait(CPU)
    with on_device(CPU):
        pass


def test_what_goes_to_a_gpu_is_pinned(monkeypatch):
    """With a device of shapes only in place of a GPU."""
    made = []

    def pinned(shape, dtype=torch.float32):
        made.append(torch.empty(shape, dtype=dtype))
        return made[-1]

    monkeypatch.setattr(transfers, "pinned", pinned)

    class Cuda:
        type = "cuda"

    waits = []
    copy = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *args, **options: waits.append(options) or copy(self, "meta"))
    tensor = torch.arange(3, dtype=torch.int32)
    assert to_device(tensor, Cuda()).device.type == "meta"
    assert torch.equal(made[0], tensor)
    assert waits == [{"non_blocking": True}]


def test_the_current_gpu(monkeypatch):
    gpu = Gpu(ends_badly=False)
    gpu.install(monkeypatch)
    with on_device(torch.device("cuda", 1)):
        assert gpu.current == 1
    assert gpu.current == 0


@pytest.mark.gpu
def test_a_round_trip():
    tensor, device = torch.randn(5), torch.device("cuda", torch.cuda.device_count() - 1)
    with on_device(device):
        there = to_device(tensor, device)
        back = start_to_host(there * 2)
        wait(device)
    assert there.device == device
    assert back.is_pinned()
    assert torch.equal(back, tensor * 2)
