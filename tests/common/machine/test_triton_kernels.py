"""Kernels are used only where they have proved themselves, and run as operators."""

import logging

import pytest
import torch

from common.machine import triton_kernels
from common.machine.triton_kernels import define_operator, may_run, proved

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch):
    monkeypatch.setattr(triton_kernels, "INTERPRETED", True)
    proved.cache_clear()


def test_a_kernel_that_works_is_tried_once(caplog):
    pytest.importorskip("triton")
    tried = []
    assert proved("of a test", tried.append, CPU)
    assert proved("of a test", tried.append, CPU)
    assert tried == [CPU]
    assert not caplog.records


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_kernels_are_tried_in_the_usual_mode(mode):
    pytest.importorskip("triton")

    def check(device):
        x = torch.ones(2, 2, device=device, requires_grad=True)
        product = x @ x
        assert product.dtype == torch.float32
        torch.autograd.grad(product.sum(), x)

    with mode():
        assert proved("of a test", check, CPU)


@pytest.mark.parametrize("error", [AssertionError("values\ndiffer"), RuntimeError("no C compiler\nfound")])
def test_a_kernel_that_fails_is_named_in_one_line(error, caplog):
    pytest.importorskip("triton")

    def check(device):
        raise error

    with caplog.at_level(logging.WARNING):
        assert not proved("of a test", check, CPU)
    (record,) = caplog.records
    assert "of a test" in record.getMessage()
    assert str(error).splitlines()[0] in record.getMessage()
    assert "\n" not in record.getMessage()


def test_without_triton_nothing_is_tried(monkeypatch, caplog):
    monkeypatch.setattr(triton_kernels.importlib.util, "find_spec", lambda name: None)
    assert not may_run(CPU)
    assert not proved("of a test", pytest.fail, CPU)
    assert not caplog.records


@pytest.mark.parametrize(("capability", "expected"), [((7, 0), False), ((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_gpus_before_ampere_are_left_to_pytorch(capability, expected, monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert may_run(torch.device("cuda", 0)) is expected


def test_operators_change_their_arguments_and_know_their_shapes():
    library = torch.library.Library("hifigan_test", "DEF")

    def launch(x, out):
        out.copy_(2 * x)

    define_operator(library, "double(Tensor x, Tensor(a!) out) -> ()", launch, lambda x, out: None)
    out = torch.zeros(3)
    torch.ops.hifigan_test.double(torch.ones(3), out)
    assert out.tolist() == [2, 2, 2]
    with torch._subclasses.FakeTensorMode():
        torch.ops.hifigan_test.double(torch.ones(3), torch.zeros(3))
