"""Batches of very different lengths: each clip's samples are those of the clip alone."""

import pytest
import torch

from common.errors import InputError
from hifigan import Generator
from hifigan.checkpoint import load_public_state
from hifigan.config import PRESETS
from hifigan.vocoding import Vocoder
from tests.support import rule_weights

LENGTHS = (1, 2, 61, 12, 13, 14, 27, 7)  # one frame; shorter, as long and longer than what the generator sees


def random_mel(frames: int) -> torch.Tensor:
    return torch.randn(80, frames, generator=torch.Generator().manual_seed(frames)) * 2 - 5


@pytest.mark.parametrize("variant", ["v1", "v2", "v3"])
def test_a_batch_gives_what_each_clip_gives_alone(variant):
    generator = Generator(PRESETS[variant])
    load_public_state(generator, rule_weights(generator.state_dict()))
    generator.remove_weight_norm()
    mels = [random_mel(frames) for frames in LENGTHS]
    together = Vocoder(generator.eval())(mels)
    with torch.no_grad():
        for mel, wav in zip(mels, together, strict=True):
            alone = generator(mel[None])[0, 0]
            assert alone.abs().max() > 0.01
            torch.testing.assert_close(wav, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("mel", "message"),
    [
        (random_mel(5).masked_fill(torch.arange(5) == 2, torch.nan), "not finite"),
        (random_mel(5)[:64], "64"),
        (random_mel(5)[:, :0], "0"),
        (random_mel(5).double(), "float64"),
        (random_mel(5).T, "80"),
    ],
    ids=["NaN", "bands", "empty", "float64", "layout"],
)
def test_bad_mels_are_refused_in_words(mel, message):
    generator = Generator(PRESETS["v2"])
    generator.remove_weight_norm()
    with pytest.raises(InputError, match=message):
        Vocoder(generator.eval())([random_mel(3), mel])
