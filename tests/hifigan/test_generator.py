"""The receptive field of the generator, and the shapes that it refuses."""

import pytest
import torch

from hifigan import Generator
from hifigan.config import PRESETS
from tests.support.weights import by_rule


@pytest.mark.parametrize(("version", "frames"), [("v1", 13), ("v2", 13), ("v3", 11)])
def test_receptive_field_is_what_gradients_see(version, frames):
    config = PRESETS[version]
    assert config.receptive_field_frames == frames
    generator = by_rule(config)
    mel = torch.randn(1, 80, 60, requires_grad=True)
    generator(mel)[0, 0, 30 * 256 : 31 * 256].sum().backward()
    seen = mel.grad.abs().sum((0, 1)).nonzero().flatten()
    assert (30 - seen.min().item(), seen.max().item() - 30) == (frames, frames)


@pytest.mark.parametrize("shape", [(80, 40), (1, 81, 40), (1, 40, 80), (1, 80, 0)])
def test_generator_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"expected a mel of shape \[B, 80, L\]"):
        Generator(PRESETS["v2"])(torch.zeros(shape))
