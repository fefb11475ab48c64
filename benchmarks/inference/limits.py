"""How fast a device could run a generator at best: the work of a mel frame, and the rate of matrix products."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from common.machine import precision
from common.machine.timing import now_sec
from hifigan.config import GeneratorConfig

DTYPES = {**precision.DTYPES, "tf32": torch.float32}
# Rows and columns of the product, and products in a row: a GPU needs large ones to be busy.
SIZES = {"cpu": (2048, 1), "cuda": (8192, 4)}


def flop_per_frame(config: GeneratorConfig) -> int:
    """Multiplications and additions (2 for each pair) of all convolutions, for one mel frame."""
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
    """The rate of square matrix products in several precisions, measured between the rounds of what it limits.

    Args:
        device: where.
        precisions: keys of `DTYPES`; on CPUs tf32 is left out, as PyTorch has no products in it.
    """

    def __init__(self, device: torch.device, precisions: Sequence[str]) -> None:
        self._device = device
        self.size, self._count = SIZES[device.type]
        self._factors = {
            name: torch.randn(self.size, self.size, device=device).to(DTYPES[name])
            for name in dict.fromkeys(precisions)
            if device.type == "cuda" or name != "tf32"
        }
        self._seconds: dict[str, list[float]] = {name: [] for name in self._factors}

    @torch.inference_mode()
    def measure(self) -> None:
        """Times each product once."""
        for name, factor in self._factors.items():
            with _tf32(name == "tf32"):
                began = now_sec(self._device)
                for _ in range(self._count):
                    torch.mm(factor, factor)
                self._seconds[name].append(now_sec(self._device) - began)

    def forget(self) -> None:
        """Drops what was measured, which was the warm-up."""
        for seconds in self._seconds.values():
            seconds.clear()

    @property
    def flop_per_sec(self) -> dict[str, float]:
        """Precision -> median rate."""
        work = 2 * self.size**3 * self._count
        return {name: work / float(np.median(seconds)) for name, seconds in self._seconds.items() if seconds}


@contextlib.contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
