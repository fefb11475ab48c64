"""Peak of a device's arithmetic: the rate of large matrix products in a precision."""

from __future__ import annotations

import time

import torch

from common.machine import precision
from common.machine.timing import now_sec

DTYPES = {**precision.DTYPES, "tf32": torch.float32}
# Rows and columns. Only large products keep a GPU busy, and which are the fastest depends on the GPU.
PRODUCT_SIZES = {"cpu": (2048,), "cuda": (4096, 8192, 16384)}
MIN_PRODUCTS = 3  # after one of warm-up
SECONDS = 0.15  # for each size


@torch.inference_mode()
def peak_flops(device: torch.device, name: str) -> float:
    """Return the operations per second (multiply and add are two) of the fastest product of several sizes and trials.

    Args:
        device: to measure.
        name: precision of the factors: a key of `DTYPES`. On CPUs, "tf32" is the same as "fp32".
    """
    best = 0.0
    with precision.use_tf32(products=name == "tf32"):
        for size in PRODUCT_SIZES[device.type]:
            try:
                best = max(best, _rate(device, name, size))
            except torch.OutOfMemoryError:  # beside a model
                if not best:
                    raise
    return best


def _rate(device: torch.device, name: str, size: int) -> float:
    a, b = (torch.randn(size, size, device=device).to(DTYPES[name]) for _ in range(2))
    torch.mm(a, b)  # libraries choose kernels
    taken: list[float] = []
    end = now_sec(device) + SECONDS
    while len(taken) < MIN_PRODUCTS or time.perf_counter() < end:
        began = now_sec(device)
        torch.mm(a, b)
        taken.append(now_sec(device) - began)
    return 2 * size**3 / min(taken)
