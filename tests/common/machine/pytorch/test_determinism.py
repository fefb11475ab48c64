"""PyTorch's settings, one line for what has no deterministic form, and reflection with gradients in a fixed order."""

import os

import pytest
import torch
from torch.nn import functional as F

from common.errors import InputError
from common.machine.pytorch import determinism
from common.machine.pytorch.determinism import (
    CUBLAS_VARIABLE,
    be_deterministic,
    nondeterminism_named,
    reflect_by_slices,
)


@pytest.fixture
def settings(monkeypatch):
    """Restore what `be_deterministic` changes in this process."""
    monkeypatch.delenv(CUBLAS_VARIABLE, raising=False)
    benchmark, filled = torch.backends.cudnn.benchmark, torch.utils.deterministic.fill_uninitialized_memory
    yield
    os.environ.pop(CUBLAS_VARIABLE, None)
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = benchmark
    torch.utils.deterministic.fill_uninitialized_memory = filled


def test_settings(settings):
    torch.backends.cudnn.benchmark = True
    be_deterministic()
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.backends.cudnn.benchmark
    assert os.environ[CUBLAS_VARIABLE] == ":4096:8"


def test_a_setting_of_the_user_stays(settings, monkeypatch):
    monkeypatch.setenv(CUBLAS_VARIABLE, ":16:8")
    be_deterministic()
    assert os.environ[CUBLAS_VARIABLE] == ":16:8"


def test_one_line_for_what_has_no_deterministic_form():
    message = "kth_backward does not have a deterministic implementation, but you set a flag. You can turn it off\nmore"
    with (
        pytest.raises(InputError, match=r"^--deterministic: not on this device \(kth_backward [^.]*\); omit the flag$"),
        nondeterminism_named(),
    ):
        raise RuntimeError(message)
    with pytest.raises(RuntimeError, match="another"), nondeterminism_named():
        raise RuntimeError("another error")


@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 3), (4, 1), (7, 7)])
def test_reflection_equals_pytorch_s(before, after):
    wav = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    expected, found = F.pad(wav, (before, after), mode="reflect"), reflect_by_slices(wav, before, after)
    assert torch.equal(found, expected)
    factors = torch.randn_like(expected)
    gradients = [torch.autograd.grad(padded, wav, factors)[0] for padded in (expected, found)]
    torch.testing.assert_close(*gradients)


@pytest.mark.gpu
def test_reflection_on_a_gpu(settings):
    wav = torch.randn(2, 1, 4000, device="cuda", requires_grad=True)
    be_deterministic()
    padded = determinism.reflect(wav, 384, 384)
    assert torch.equal(padded, F.pad(wav.detach(), (384, 384), mode="reflect"))
    padded.square().sum().backward()  # PyTorch's own padding raises an error here
