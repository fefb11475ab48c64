"""Mixed precision: names of number formats, the 16-bit format of each device, autocast and loss scaling."""

from __future__ import annotations

import logging

import torch

from common.machine.hardware import PRECISIONS, half_precision

log = logging.getLogger(__name__)

DTYPES = dict(zip(PRECISIONS, (torch.float32, torch.float16, torch.bfloat16), strict=True))


def amp_format(choice: str, device: str | torch.device) -> str:
    """Return the format that --amp-dtype selects on a device. "auto" is its `half_precision`."""
    if choice == "auto":
        return half_precision(device)
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
