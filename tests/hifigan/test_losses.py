"""Losses against sums done by hand, and gradients that go where they should."""

import pytest
import torch

<<<<<<< HEAD
from hifigan import losses
=======
from common import distributed
from common.audio import AudioConfig
from hifigan import MultiPeriodDiscriminator, losses
from hifigan.training.config import VocoderDataConfig, VocoderOptimConfig, VocoderRunConfig, VocoderTrainConfig
from hifigan.training.state import VocoderTrainState
from tests.support.models import TINY
>>>>>>> 4889755 (Tests and importers follow the new names of the training code)


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
<<<<<<< HEAD
=======


@pytest.mark.parametrize("period", [2, 3, 11])
def test_period_discriminator_sees_every_sample(period):
    wav = torch.randn(1, 1, 1001, requires_grad=True)
    scores, _ = MultiPeriodDiscriminator([period])(wav)
    scores[0].square().sum().backward()
    assert (wav.grad != 0).all()


def test_frozen_discriminators_pass_gradients_on_and_keep_none():
    cfg = VocoderTrainConfig(
        VocoderRunConfig(),
        VocoderOptimConfig(),
        VocoderDataConfig(training_files=("t",), validation_files=("v",)),
        AudioConfig(),
        TINY,
    )
    state = VocoderTrainState(cfg, distributed.init(cuda=False))
    wav = torch.randn(1, 1, 2048, requires_grad=True)
    with state.frozen_discriminators():
        scores, _ = state.discriminators["msd"](wav)
        torch.stack([score.sum() for score in scores]).sum().backward()
    assert wav.grad.abs().sum() > 0
    parameters = list(state.discriminators["msd"].parameters())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in parameters)
>>>>>>> 4889755 (Tests and importers follow the new names of the training code)
