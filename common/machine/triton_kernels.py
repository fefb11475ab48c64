"""Kernels written in Triton: where they may be used, and how they become operators of PyTorch.

Triton compiles for the GPU at hand, with a C compiler that small containers lack. So each kernel first proves itself:
once in a process, it is compiled and compared with PyTorch's own operators. Where that fails, these are used.

As operators, kernels also work in CUDA graphs and on tensors that have only shapes (simulations).
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

import torch

from common.errors import first_line

log = logging.getLogger(__name__)

# Triton reads the variable when kernels are defined, and then runs them in Python, also on CPU tensors: for tests.
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
LEAST_CAPABILITY = (8, 0)  # Ampere. Triton no longer supports older GPUs.

Check = Callable[[torch.device], None]


def may_run(device: torch.device) -> bool:
    """Return whether Triton is installed and can run on a device. It does not run on CPUs, unless interpreted."""
    if importlib.util.find_spec("triton") is None:
        return False
    if device.type != "cuda":
        return INTERPRETED
    return torch.cuda.get_device_capability(device) >= LEAST_CAPABILITY


@functools.cache
def proved(kernel: str, check: Check, device: torch.device) -> bool:
    """Return whether a kernel works on a device, tried once in a process. If it does not, log why.

    Args:
        kernel: its name for the log.
        check: runs the kernel on the device and raises any exception if it fails or differs from PyTorch's operators.
        device: where it shall run.
    """
    return works(kernel, check, device)


def works(kernel: str, check: Check, device: torch.device) -> bool:
    """Return whether a kernel works on a device, like `proved`, but try it in each call."""
    if not may_run(device):
        return False
    try:
        # Kernels may be needed first where nothing is differentiated, as in all micro-batches but the last.
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
            check(device)
    except Exception as error:  # of any kind: compilers, drivers and comparisons fail in many ways
        log.warning("without the GPU kernel %s, slower but with the same results: %s", kernel, first_line(error))
        return False
    return True


def address(tensor: torch.Tensor) -> int:
    """Return where a tensor's values lie, for kernels that read many tensors. Simulations replace this function."""
    return tensor.data_ptr()


def begins(sizes: Iterable[int], alignment: int = 1) -> list[int]:
    """Return where ranges of these sizes begin if they follow each other, at multiples of a number, and the end."""
    return [0, *itertools.accumulate(-(-size // alignment) * alignment for size in sizes)]


def define_operator(
    library: torch.library.Library, schema: str, launch: Callable[..., Any], shapes: Callable[..., Any]
) -> None:
    """Make a kernel's launch an operator: `torch.ops.<namespace>.<name>`, without a derivative.

    Args:
        library: a namespace of operators.
        schema: name, arguments and results as PyTorch writes them. "(a!)" marks arguments that change.
        launch: runs the kernel.
        shapes: returns empty results, for tensors that have only shapes.
    """
    name = schema.partition("(")[0]
    library.define(schema)
    library.impl(name, launch, "CUDA")
    if INTERPRETED:
        library.impl(name, launch, "CPU")
    torch.library.register_fake(f"{library.ns}::{name}", shapes, lib=library)
