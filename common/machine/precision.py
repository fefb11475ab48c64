"""Names of number formats, and the 16-bit format that suits a device."""

from __future__ import annotations

import torch

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def half_precision(device: str | torch.device) -> str:
    """The 16-bit format of mixed precision on a device: "fp16" on GPUs, "bf16" on CPUs."""
    return "fp16" if torch.device(device).type == "cuda" else "bf16"


def amp_format(choice: str, device: str | torch.device) -> str:
    """Return the format that --amp-dtype selects on a device. "auto" is its `half_precision`."""
    return half_precision(device) if choice == "auto" else choice


def mixed_precision(
    device: torch.device, enabled: bool = True, cached: bool = True, dtype: torch.dtype | None = None
) -> torch.autocast:
    """Return autocast to `dtype`, by default the device's `half_precision`. It does nothing unless `enabled`.

    `cached` is PyTorch's `cache_enabled`.
    """
    dtype = DTYPES[half_precision(device)] if dtype is None else dtype
    return torch.autocast(device.type, dtype, enabled=enabled, cache_enabled=cached)
