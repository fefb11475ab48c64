"""Losses of the adversarial game (paper section 2.5), summed over sub-discriminators, as scalars in fp32.

`GeneratorLosses` and `discriminator_losses` return named losses. Logs, plots and TensorBoard follow these names: to add
a loss, edit only this file. Its name ends in `_loss`.

On GPUs they can be computed `at_once`: by kernels that read all tensors of a sum in one launch.

Shapes: B batch, T samples, M mel bands, L mel frames.
"""

from __future__ import annotations

import functools
import importlib
import operator
from collections.abc import Iterable, Sequence
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.audio import AudioConfig, MelSpectrogram
from hifigan.discriminators import Judgement

FEATURE_WEIGHT = 2.0  # lambda_fm, paper equation 5
MEL_WEIGHT = 45.0  # lambda_mel, paper equation 5

Judgements = Iterable[tuple[Judgement, Judgement]]  # of the real and of the fake signal, for each discriminator


def discriminator_losses(judgements: Judgements, at_once: bool = False) -> dict[str, Tensor]:
    """Return "d_loss", which the discriminators minimise (paper equation 6)."""
    parts = (discriminator_loss(real, fake, at_once) for (real, _), (fake, _) in judgements)
    return {"d_loss": functools.reduce(operator.add, parts)}


class GeneratorLosses(nn.Module):
    """All losses of the generator.

    Args:
        audio: mel spectrograms of the mel loss.
        at_once: see above.
    """

    def __init__(self, audio: AudioConfig, at_once: bool = False) -> None:
        super().__init__()
        self.at_once = at_once
        self.mel = MelSpectrogram(audio)

    def forward(self, real: Tensor, fake: Tensor, judgements: Judgements) -> dict[str, Tensor]:
        """Return "g_loss", which the generator minimises (paper equation 5), and its logged parts.

        Args:
            real: wav [B, 1, T].
            fake: wav [B, 1, T].
            judgements: of both wavs.
        """
        parts = self.reconstruction(real, fake)
        total = functools.reduce(operator.add, parts.values())
        for (_, real_fmaps), (fake_scores, fake_fmaps) in judgements:
            total = total + generator_loss(fake_scores, self.at_once)
            total = total + FEATURE_WEIGHT * feature_matching_loss(real_fmaps, fake_fmaps, self.at_once)
        return {"g_loss": total, **parts}

    def reconstruction(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the weighted losses that need no discriminator, of wavs [B, 1, T]."""
        real_mel, fake_mel = self.mel(real.squeeze(1)), self.mel(fake.squeeze(1))
        return {"mel_loss": MEL_WEIGHT * mel_loss(real_mel, fake_mel, self.at_once)}


def discriminator_loss(real_scores: Sequence[Tensor], fake_scores: Sequence[Tensor], at_once: bool = False) -> Tensor:
    """Least squares: real scores towards 1, fake scores towards 0 (paper equation 1)."""
    if at_once:
        return _kernels().mean_squared_errors(real_scores, fake_scores)
    losses = [
        (1 - real.float()).square().mean() + fake.float().square().mean()
        for real, fake in zip(real_scores, fake_scores, strict=True)
    ]
    return torch.stack(losses).sum()


def generator_loss(fake_scores: Sequence[Tensor], at_once: bool = False) -> Tensor:
    """Least squares: fake scores towards 1 (paper equation 2)."""
    if at_once:
        return _kernels().mean_squared_errors(fake_scores, ())
    return torch.stack([(1 - fake.float()).square().mean() for fake in fake_scores]).sum()


def feature_matching_loss(
    real_fmaps: Sequence[Sequence[Tensor]], fake_fmaps: Sequence[Sequence[Tensor]], at_once: bool = False
) -> Tensor:
    """Sum over all feature maps of the mean absolute difference (paper equation 4). The caller weights it."""
    pairs = [
        (fake, real)
        for real_maps, fake_maps in zip(real_fmaps, fake_fmaps, strict=True)
        for real, fake in zip(real_maps, fake_maps, strict=True)
    ]
    if at_once:
        return _kernels().mean_absolute_errors(pairs)
    return torch.stack([F.l1_loss(fake.float(), real.float()) for fake, real in pairs]).sum()


def mel_loss(real_mel: Tensor, fake_mel: Tensor, at_once: bool = False) -> Tensor:
    """Mean absolute difference of log-mel spectrograms [B, M, L] (paper equation 3). The caller weights it."""
    if at_once:
        return _kernels().mean_absolute_errors([(fake_mel, real_mel)])
    return F.l1_loss(fake_mel.float(), real_mel.float())


def _kernels() -> ModuleType:
    return importlib.import_module("hifigan.gpu.mean_errors")  # needs Triton
