"""Generators of the architectures that other programs have."""

from __future__ import annotations

import dataclasses

import torch

from hifigan import Generator, GeneratorConfig

BASE = GeneratorConfig(
    upsample_rates=(8, 4, 2),
    upsample_kernel_sizes=(16, 8, 4),
    upsample_initial_channel=32,
    resblock_kernel_sizes=(3, 7),
    resblock_dilation_sizes=((1, 3, 5), (1, 3, 5)),
    num_mels=20,
)
VARIANTS = {
    "odd kernel - rate": dataclasses.replace(BASE, upsample_rates=(5, 4, 2)),
    "several odd ones": dataclasses.replace(BASE, upsample_rates=(5, 3, 2), upsample_kernel_sizes=(16, 8, 5)),
    "exact, odd": dataclasses.replace(
        BASE, upsample_rates=(5, 3, 2), upsample_kernel_sizes=(16, 8, 5), exact_upsampling=True
    ),
    "exact, twice the rate": dataclasses.replace(
        BASE, upsample_rates=(5, 3, 2), upsample_kernel_sizes=(10, 6, 4), exact_upsampling=True
    ),
    "reflection": dataclasses.replace(BASE, padding="reflect"),
    "no output bias": dataclasses.replace(BASE, output_bias=False),
    "normalised input": dataclasses.replace(BASE, normalised_input=True),
    "kind 2, normalised": dataclasses.replace(
        BASE, resblock="2", resblock_dilation_sizes=((1, 2), (2, 6)), normalised_input=True
    ),
}
ZERO_PADDED = [name for name, config in VARIANTS.items() if config.padding == "zeros"]


def make_variant(name: str, weight_norm: bool = False) -> Generator:
    """Return a loud generator of this architecture, in evaluation mode."""
    torch.manual_seed(0)
    config = VARIANTS[name]
    generator = Generator(config).eval()
    with torch.no_grad():
        for key, tensor in generator.state_dict().items():
            if key.endswith("weight_g"):
                tensor *= 1.5  # an untrained generator is nearly silent
        if config.normalised_input:
            state = generator.state_dict()
            state["normalise.mean"].normal_(-5)
            state["normalise.scale"].uniform_(0.5, 2)
    if not weight_norm:
        generator.remove_weight_norm()
    return generator


def random_mel(frames: int, batch: int = 1) -> torch.Tensor:
    """Return a mel [B, M, L] of 20 bands."""
    return torch.randn(batch, BASE.num_mels, frames, generator=torch.Generator().manual_seed(frames)) * 2 - 5
