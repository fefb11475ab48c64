"""Equal bits in each run (`--deterministic`): nothing is chosen by its speed, and all sums have a fixed order."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from common.errors import InputError, first_line

CUBLAS_VARIABLE, CUBLAS_SETTING = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"  # cuBLAS reads it when it starts


def be_deterministic() -> None:
    """Let PyTorch compute deterministically from now on. Call this before the first use of a GPU."""
    os.environ.setdefault(CUBLAS_VARIABLE, CUBLAS_SETTING)
    torch.use_deterministic_algorithms(True)
    # Nothing here reads uninitialised memory, which PyTorch would fill.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False  # it takes the kernel that was fastest in a trial


@contextlib.contextmanager
def nondeterminism_named() -> Iterator[None]:
    """Turn PyTorch's error about an operation that has no deterministic form into one line.

    Raises:
        InputError: names the operation.
    """
    try:
        yield
    except RuntimeError as error:
        reason = first_line(error)
        if "deterministic" not in reason.lower():
            raise
        raise InputError(f"--deterministic: not on this device ({reason.split('. ')[0]}); omit the flag") from error


def reflect(wav: Tensor, before: int, after: int) -> Tensor:
    """Continue wav [B, C, T] by reflection, by fewer than T samples on each side.

    On GPUs PyTorch adds the gradients of its own padding in varying order.
    """
    if not (wav.is_cuda and torch.are_deterministic_algorithms_enabled()):
        return F.pad(wav, (before, after), mode="reflect")
    return reflect_by_slices(wav, before, after)


def reflect_by_slices(wav: Tensor, before: int, after: int) -> Tensor:
    """Return the same as `reflect`, with gradients in a fixed order on all devices."""
    last = wav.size(2) - 1
    return torch.cat([wav[:, :, 1 : before + 1].flip(2), wav, wav[:, :, last - after : last].flip(2)], dim=2)
