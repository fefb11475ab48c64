"""Losses against sums done by hand, and gradients that go where they should."""

import pytest
import torch

from common.audio import AudioConfig
from hifigan import losses


def test_by_hand():
    real, fake = (
        [torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0]])],
        [torch.tensor([[2.0, 0.0]]), torch.tensor([[0.5]])],
    )
    assert losses.discriminator_loss(real, fake).item() == pytest.approx((0 + 4) / 2 + (4 + 0) / 2 + 1 + 0.25)
    assert losses.generator_loss(fake).item() == pytest.approx((1 + 1) / 2 + 0.25)
    maps = [[torch.tensor([1.0, 2.0]), torch.tensor([3.0])]], [[torch.tensor([2.0, 0.0]), torch.tensor([3.5])]]
    assert losses.feature_matching_loss(*maps).item() == pytest.approx(1.5 + 0.5)
    assert losses.mel_loss(torch.zeros(1, 2, 2), torch.tensor([[[1.0, -1.0], [0.0, 2.0]]])).item() == pytest.approx(1.0)
    assert (losses.FEATURE_WEIGHT, losses.MEL_WEIGHT) == (2, 45)


def test_half_precision_is_summed_in_fp32():
    wide = [torch.full((1, 4), 300.0, dtype=torch.float16)]  # 300 squared is beyond fp16
    assert losses.generator_loss(wide).item() == pytest.approx(299.0**2)
    assert losses.discriminator_loss(wide, wide).isfinite()


def test_number_of_sub_discriminators_must_agree():
    with pytest.raises(ValueError, match="longer than"):
        losses.discriminator_loss([torch.zeros(1, 1)], [torch.zeros(1, 1)] * 2)


def test_the_generators_loss_is_the_weighted_sum():
    torch.manual_seed(0)
    real, fake = torch.rand(2, 1, 1, 2048) - 0.5
    maps = [[torch.tensor([1.0, 2.0])]], [[torch.tensor([2.0, 0.0])]]
    judgements = [(([torch.ones(1, 1)], maps[0]), ([torch.tensor([[3.0]])], maps[1]))] * 2
    module = losses.GeneratorLosses(AudioConfig())
    found = module(real, fake, judgements)
    mel = 45 * losses.mel_loss(module.mel(real[:, 0]), module.mel(fake[:, 0])).item()
    assert list(found) == ["g_loss", "mel_loss"]
    assert found["mel_loss"].item() == pytest.approx(mel)
    assert found["g_loss"].item() == pytest.approx(mel + 2 * (4 + 2 * 1.5))
    assert losses.discriminator_losses(judgements)["d_loss"].item() == pytest.approx(2 * 9)
