"""The state of a training run."""

import torch

from common import distributed
from common.audio import AudioConfig
from hifigan.training.flags import VocoderDataConfig, VocoderOptimConfig, VocoderRunConfig, VocoderTrainConfig
from hifigan.training.state import VocoderTrainState
from tests.support.models import TINY


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
