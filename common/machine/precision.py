"""Precision of products: 16-bit formats of each device, autocast, loss scaling, TF32 on GPUs, and exact fp32.

PyTorch 2.9 has new settings for TF32. Reading the old ones after writing new ones is an error, so that only this module
knows either.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from common.errors import InputError
from common.machine.hardware import PRECISIONS, half_precision, supports_bf16

log = logging.getLogger(__name__)

# PyTorch 2.9's setting of each operator, "tf32", "ieee" (exact), or "none" (inherited), or else the old booleans.
PER_OPERATOR = hasattr(torch.backends.cudnn, "conv") and hasattr(torch.backends.cuda.matmul, "fp32_precision")
TF32_CAPABILITY = (8, 0)  # Ampere, the first GPUs with TF32
TF32_OVERRIDE = "NVIDIA_TF32_OVERRIDE"  # NVIDIA's libraries obey this variable, whatever PyTorch asks of them

DTYPES = dict(zip(PRECISIONS, (torch.float32, torch.float16, torch.bfloat16), strict=True))


def amp_format(choice: str, device: str | torch.device) -> str:
    """Return the format that --amp-dtype selects on a device. "auto" is its `half_precision`.

    Raises:
        InputError: bf16 on a GPU that lacks it.
    """
    if choice == "auto":
        return half_precision(device)
    if choice == "bf16" and not supports_bf16(device):
        raise InputError(f"--amp-dtype: bf16 is not for this GPU ({torch.cuda.get_device_name()}); give fp16")
    if choice == "fp16" and torch.device(device).type == "cpu":
        log.warning("--amp-dtype fp16: many times slower than fp32 on a CPU; use bf16 there")
    return choice


def mixed_precision(
    device: torch.device, enabled: bool = True, cached: bool = True, dtype: torch.dtype | None = None
) -> torch.autocast:
    """Return autocast to `dtype`, by default the device's `half_precision`. It does nothing unless `enabled`.

    `cached` is PyTorch's `cache_enabled`.
    """
    dtype = DTYPES[half_precision(device)] if dtype is None else dtype
    return torch.autocast(device.type, dtype, enabled=enabled, cache_enabled=cached)


def needs_loss_scaling(dtype: torch.dtype | None) -> bool:
    """Return whether training in a format needs its loss scaled: fp16 does, bf16 and fp32 do not."""
    return dtype is torch.float16


def make_gradient_scaler(device: torch.device, dtype: torch.dtype | None) -> torch.amp.GradScaler:
    """Return a scaler for training in a format, which in every format also skips steps with non-finite gradients.

    It works on the device and never waits for it. Without loss scaling, its scale stays 1.
    """
    if needs_loss_scaling(dtype):
        return torch.amp.GradScaler(device.type)
    return torch.amp.GradScaler(device.type, init_scale=1.0, growth_interval=2**31 - 1)


class Tf32(NamedTuple):
    """Whether GPUs since Ampere shorten the factors of fp32 products to 11 bits. PyTorch's defaults are yes, and no.

    Attributes:
        convolutions: in cuDNN.
        products: of matrices, in cuBLAS.
    """

    convolutions: bool
    products: bool


def tf32_allowed() -> Tf32:
    """Return PyTorch's settings."""
    on = "tf32" if PER_OPERATOR else True
    return Tf32(*(all(getattr(*switch) == on for switch in switches) for switches in _tf32_switches()))


def set_tf32(convolutions: bool | None = None, products: bool | None = None) -> None:
    """Change PyTorch's settings, for the whole process. None leaves a setting as it is."""
    values = ("ieee", "tf32") if PER_OPERATOR else (False, True)
    for switches, allowed in zip(_tf32_switches(), (convolutions, products), strict=True):
        for owner, name in switches if allowed is not None else ():
            setattr(owner, name, values[bool(allowed)])


@contextlib.contextmanager
def use_tf32(convolutions: bool | None = None, products: bool | None = None) -> Iterator[None]:
    """Change PyTorch's settings for a while, like `set_tf32`."""
    switches = [switch for group in _tf32_switches() for switch in group]
    before = [getattr(*switch) for switch in switches]
    set_tf32(convolutions, products)
    try:
        yield
    finally:
        for (owner, name), value in zip(switches, before, strict=True):
            setattr(owner, name, value)


def _tf32_switches() -> tuple[list[tuple[Any, str]], list[tuple[Any, str]]]:
    """Return the settings of convolutions, and of products: each an object and its attribute."""
    cudnn: Any = torch.backends.cudnn  # PyTorch's types lack some
    cuda = torch.backends.cuda
    if PER_OPERATOR:  # recurrent layers share the old setting with convolutions
        return [(cudnn.conv, "fp32_precision"), (cudnn.rnn, "fp32_precision")], [(cuda.matmul, "fp32_precision")]
    return [(cudnn, "allow_tf32")], [(cuda.matmul, "allow_tf32")]


def full_precision(device: torch.device) -> str:
    """Return the actual precision of float32 convolutions: "TF32" if GPU and settings allow it, or "fp32"."""
    return "TF32" if _has_tf32(device) and tf32_allowed().convolutions else "fp32"


def _has_tf32(device: torch.device) -> bool:
    if device.type != "cuda" or os.environ.get(TF32_OVERRIDE) == "0":
        return False
    return torch.cuda.get_device_capability(device) >= TF32_CAPABILITY


def exact_format(device: torch.device) -> torch.dtype:
    """Return the format in which products of fp32 matrices must be computed to have the precision of fp32 at least.

    By default it is fp32, and conversions to it do nothing. Where settings or environment allow PyTorch to shorten the
    factors, it is fp64, forward and backward: to TF32 on GPUs (as NVIDIA's containers do), to bf16 on CPUs.
    """
    if torch.compiler.is_compiling() and not torch.compiler.is_exporting():
        return torch.float64  # compiled code cannot read the settings. Exported files must not contain fp64.
    return torch.float64 if _shortens_factors(device) else torch.float32


def _shortens_factors(device: torch.device) -> bool:
    """Return whether a device may multiply fp32 matrices with shortened factors."""
    if device.type == "cuda":
        allowed = tf32_allowed().products or os.environ.get(TF32_OVERRIDE) == "1"
        return allowed and _has_tf32(device)
    if PER_OPERATOR:
        mkldnn: Any = torch.backends.mkldnn
        return mkldnn.matmul.fp32_precision in ("bf16", "tf32")
    return torch.get_float32_matmul_precision() == "medium"
