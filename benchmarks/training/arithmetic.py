"""Arithmetic work of a training step."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from hifigan.config import read_config_file
from hifigan.discriminators import MultiPeriodDiscriminator, MultiScaleDiscriminator
from hifigan.generator import Generator


@functools.cache
def segment_flop(config: str, segment: int) -> int:
    """Return the floating-point operations of the plain recipe for one segment (multiply and add are two).

    They are derived from forward passes. The generator runs forward and backward, which costs three forward passes. The
    discriminators' step costs three for real and three for fake. The generator's step costs one for real, and two for
    fake, since weights get no gradients.

    Args:
        config: v1, v2, v3 or a JSON file.
        segment: samples.
    """
    with FakeTensorMode():  # shapes alone
        generator = Generator(read_config_file(config)[0])
        real = torch.zeros(1, 1, segment)
        mel = torch.zeros(1, generator.config.num_mels, segment // generator.config.hop_length)
        judges = MultiPeriodDiscriminator(), MultiScaleDiscriminator()
        return 3 * _forward_flop(generator, mel) + 9 * sum(_forward_flop(judge, real) for judge in judges)


def _forward_flop(module: nn.Module, x: Tensor) -> int:
    # Forward passes alone: for gradients of grouped convolutions the counter returns too many.
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(x)
    return counter.get_total_flops()
