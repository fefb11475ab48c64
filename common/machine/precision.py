"""Names of number formats, and the 16-bit format that suits a device."""

from __future__ import annotations

import torch

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def half_precision(device: str | torch.device) -> str:
    """The 16-bit format of mixed precision on a device: "fp16" on GPUs, "bf16" on CPUs."""
    return "fp16" if torch.device(device).type == "cuda" else "bf16"


def mixed_precision(device: torch.device, enabled: bool = True, cached: bool = True) -> torch.autocast:
    """Autocast to the device's `half_precision`; does nothing unless `enabled`. `cached` is `cache_enabled`."""
    return torch.autocast(device.type, DTYPES[half_precision(device)], enabled=enabled, cache_enabled=cached)
