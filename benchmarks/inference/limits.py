"""Upper limit of a device's speed: the work per mel frame, and the measured rate of matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from common.machine import precision
from common.machine.timing import now_sec
from hifigan.config import GeneratorConfig

DTYPES = {**precision.DTYPES, "tf32": torch.float32}
# Rows and columns of a product, and number of successive products. Only large ones keep a GPU busy.
PRODUCT_SIZES = {"cpu": (2048, 1), "cuda": (8192, 4)}


def flop_per_frame(config: GeneratorConfig) -> int:
    """Return the multiplications and additions (2 per pair) of all convolutions for one mel frame."""
    channels = config.upsample_initial_channel
    work, samples = config.num_mels * channels * 7, 1
    for rate, kernel in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
        work += samples * channels * (channels // 2) * kernel
        channels, samples = channels // 2, samples * rate
        for size, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True):
            convolutions = len(dilations) * (2 if config.resblock == "1" else 1)
            work += samples * channels * channels * size * convolutions
    return 2 * (work + samples * channels * 7)


class ArithmeticLimit:
    """Rate of square matrix products in several precisions, measured between the rounds of the benchmark.

    Args:
        device: measured device.
        precisions: keys of `DTYPES`. tf32 is skipped on CPUs, where PyTorch has no products in it.
    """

    def __init__(self, device: torch.device, precisions: Sequence[str]) -> None:
        self._device = device
        self.size, self._count = PRODUCT_SIZES[device.type]
        self._factors = {
            name: torch.randn(self.size, self.size, device=device).to(DTYPES[name])
            for name in dict.fromkeys(precisions)
            if device.type == "cuda" or name != "tf32"
        }
        self._seconds: dict[str, list[float]] = {name: [] for name in self._factors}

    @torch.inference_mode()
    def measure(self) -> None:
        """Time each product once."""
        for name, factor in self._factors.items():
            with precision.use_tf32(products=name == "tf32"):
                began = now_sec(self._device)
                for _ in range(self._count):
                    torch.mm(factor, factor)
                self._seconds[name].append(now_sec(self._device) - began)

    def forget(self) -> None:
        """Discard the times of the warm-up."""
        for seconds in self._seconds.values():
            seconds.clear()

    @property
    def flop_per_sec(self) -> dict[str, float]:
        """Median rate by precision."""
        work = 2 * self.size**3 * self._count
        return {name: work / float(np.median(seconds)) for name, seconds in self._seconds.items() if seconds}
