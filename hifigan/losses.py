"""Losses of the adversarial game (paper section 2.5), each a scalar summed over sub-discriminators, in fp32."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

FEATURE_WEIGHT = 2.0  # lambda_fm, paper equation 5
MEL_WEIGHT = 45.0  # lambda_mel, paper equation 5


def discriminator_loss(real_scores: Sequence[Tensor], fake_scores: Sequence[Tensor]) -> Tensor:
    """Least squares: real scores towards 1, fake scores towards 0 (paper equation 1)."""
    losses = [
        (1 - real.float()).square().mean() + fake.float().square().mean()
        for real, fake in zip(real_scores, fake_scores, strict=True)
    ]
    return torch.stack(losses).sum()


def generator_loss(fake_scores: Sequence[Tensor]) -> Tensor:
    """Least squares: fake scores towards 1 (paper equation 2)."""
    return torch.stack([(1 - fake.float()).square().mean() for fake in fake_scores]).sum()


def feature_matching_loss(real_fmaps: Sequence[Sequence[Tensor]], fake_fmaps: Sequence[Sequence[Tensor]]) -> Tensor:
    """Sum over all feature maps of the mean absolute difference (paper equation 4); the weight is the caller's."""
    losses = [
        F.l1_loss(fake.float(), real.float())
        for real_maps, fake_maps in zip(real_fmaps, fake_fmaps, strict=True)
        for real, fake in zip(real_maps, fake_maps, strict=True)
    ]
    return torch.stack(losses).sum()


def mel_loss(real_mel: Tensor, fake_mel: Tensor) -> Tensor:
    """Mean absolute difference of log-mel spectrograms [B, M, L] (paper equation 3); the weight is the caller's."""
    return F.l1_loss(fake_mel.float(), real_mel.float())
