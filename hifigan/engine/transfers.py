"""The current GPU, and copies between the memories of CPU and GPU that do not wait for the GPU.

PyTorch waits after each copy from or to ordinary memory. Copies from and to pinned memory take their turn on the GPU's
stream.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import torch
from torch import Tensor


def on_device(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Make a GPU the current one: kernels, streams and events of the context then belong to it. CPUs need nothing."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device. The copy may happen later, but before any work on the device that follows."""
    if tensor.device.type == "cpu" and device.type == "cuda":
        return pinned(tensor.shape, tensor.dtype).copy_(tensor).to(device, non_blocking=True)
    return tensor.to(device)


def start_to_host(tensor: Tensor) -> Tensor:
    """Return a copy in the CPU's memory, valid after `wait`. A tensor that is there already is returned itself."""
    if tensor.device.type == "cpu":
        return tensor
    return pinned(tensor.shape, tensor.dtype).copy_(tensor, non_blocking=True)


def pinned(shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Return empty pinned memory. PyTorch keeps it for the next tensor when it is no longer used."""
    return torch.empty(tuple(shape), dtype=dtype, pin_memory=True)


def wait(device: torch.device) -> None:
    """Wait until the work of the current stream is done."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
