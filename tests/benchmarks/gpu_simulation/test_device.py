"""Stand-ins for functions of PyTorch: what they compute, and that they end with the simulation."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from benchmarks.gpu_simulation import device
from benchmarks.gpu_simulation.counter import OperatorCounter
from benchmarks.gpu_simulation.device import DEVICE, simulated_gpu
from common.machine import triton_kernels

pytestmark = pytest.mark.medium  # simulating imports PyTorch's compiler


def replaced():
    return [
        getattr(owner, name)
        for owner in (torch.cuda, torch, torch.Tensor, torch.inference_mode, FakeTensor, nn.Module, triton_kernels)
        for name in dir(owner)
        if name not in ("__dict__", "__weakref__", "__annotations__", "__doc__") and not name.startswith("_C")
    ]


def test_nothing_stays_replaced(monkeypatch):
    with simulated_gpu():
        assert torch.cuda.is_available()
        assert torch.cuda.get_device_capability() == (9, 0)
        assert triton_kernels.proved("anything", lambda place: 1 / 0, DEVICE)
    assert not torch.cuda.is_available() or not isinstance(torch.empty(1, device=DEVICE), FakeTensor)
    for owner, names in device._replacements(OperatorCounter()):
        for name, replacement in names.items():
            current = getattr(owner, name)
            assert current is not replacement
            assert getattr(current, "__module__", "") != device.__name__


def test_modules_move_and_change_their_format():
    with simulated_gpu() as counter:
        module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        module[0].requires_grad_(False)
        assert module.to(DEVICE).half() is module
        assert {p.dtype for p in module.parameters()} == {torch.float16}
        assert {tensor.device for tensor in (*module.parameters(), *module.buffers())} == {DEVICE}
        assert [p.requires_grad for p in module.parameters()] == [False, False, True, True]
        assert all(isinstance(p, nn.Parameter) for p in module.parameters())
        assert counter.live_bytes == 7 * 512  # two weights, two biases, two statistics, one count
        assert module[1].num_batches_tracked.dtype == torch.long


def test_the_inverse_transform_equals_pytorch():
    window = torch.hann_window(64)
    signal = torch.randn(2, 1000, generator=torch.Generator().manual_seed(1))
    spec = torch.stft(signal, 64, 16, window=window, return_complex=True)
    counter = OperatorCounter()
    found = device._inverse_transform(counter)(spec, 64, 16, window=window)
    torch.testing.assert_close(found, torch.istft(spec, 64, 16, window=window))
    assert len(counter.tally.waits) == 1


def test_inference_mode_keeps_its_meaning():
    @torch.inference_mode()
    def work(x):
        assert not torch.is_grad_enabled()
        return x * 2

    with simulated_gpu():
        assert torch.is_grad_enabled()
        assert not work(torch.ones(3, device=DEVICE)).requires_grad
        assert torch.is_grad_enabled()
