"""Compare the CPU engine with the plain generator."""

import torch

from hifigan import GeneratorConfig
from hifigan.config import PRESETS
from hifigan.engine.cpu import CpuEngine

# Kernels that are not a multiple of the rate, overlaps of many strides, no common factors, an even number of blocks.
UNUSUAL = GeneratorConfig(
    upsample_rates=(7, 1, 5, 2),
    upsample_kernel_sizes=(9, 1, 11, 16),
    upsample_initial_channel=32,
    resblock_kernel_sizes=(1, 5),
    resblock_dilation_sizes=((1, 2), (2, 6)),
    num_mels=24,
)


CONFIGS = {**PRESETS, "unusual": UNUSUAL}


def random_mel(config, frames, seed=0):
    return torch.randn(config.num_mels, frames, generator=torch.Generator().manual_seed(seed)) * 2 - 5


@torch.no_grad()
def plain(generator, mel, dtype=torch.float32):
    return generator.to(dtype)(mel[None].to(dtype))[0, 0]


@torch.no_grad()
def assert_equal_to_plain(generator, frames, **changes):
    mel = random_mel(generator.config, frames)
    torch.testing.assert_close(CpuEngine(generator)(mel[None])[0], plain(generator, mel), rtol=0, atol=1e-5)


def random_batch(frames, batch=1):
    return torch.randn(batch, 80, frames, generator=torch.Generator().manual_seed(frames)) * 2 - 5
