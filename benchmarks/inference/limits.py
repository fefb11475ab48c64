"""Arithmetic work of a generator per mel frame."""

from __future__ import annotations

from hifigan.config import GeneratorConfig


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
