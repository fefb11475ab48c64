"""Multi-period and multi-scale discriminators (paper sections 2.3 and 2.4).

Each takes one signal wav [B, 1, T] and returns `(scores, fmaps)`: for each sub-discriminator a score tensor [B, N] and
the list of its feature maps, including the output of the last convolution. With `signals=n` the batch holds n signals,
one after the other [n * B, 1, T]. The result equals n separate calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.machine.pytorch.determinism import reflect
from hifigan.config import DiscriminatorConfig
from hifigan.convolutions.rows import are_rows, to_rows
from hifigan.layers import SpectralNormConv1d, WeightNormConv1d, WeightNormConv2d

SLOPE = 0.1
NARROW = 0.5  # below this width, groups have so few channels that PyTorch's own layout is faster on a CPU
RECIPE = DiscriminatorConfig()
Judgement = tuple[list[Tensor], list[list[Tensor]]]


def build_discriminators(
    amp_grouped_conv: bool = True, width: float = 1.0, config: DiscriminatorConfig = RECIPE
) -> nn.ModuleDict:
    """Build the discriminators of a training run under their public names, which are also their checkpoint keys.

    Training, checkpoints and benchmarks follow this dictionary: to add a discriminator, edit only this file.

    Args:
        amp_grouped_conv: see `ScaleDiscriminator`.
        width: channels of all hidden layers relative to the paper's, a multiple of 1/8, so that the groups divide them.
        config: what differs in other programs' discriminators.
    """
    return nn.ModuleDict(
        {
            "mpd": MultiPeriodDiscriminator(width=width, config=config),
            "msd": MultiScaleDiscriminator(amp_grouped_conv, width, config),
        }
    )


class PeriodDiscriminator(nn.Module):
    """Judges every `period`-th sample together: the signal becomes an image [B, 1, T / period, period]."""

    fused = False  # see `fuse_activations`

    def __init__(self, period: int, width: float = 1.0, config: DiscriminatorConfig = RECIPE) -> None:
        super().__init__()
        self.period = period
        channels = (1, *(int(count * width) for count in (32, 128, 512, 1024, 1024)))
        strides = (3, 3, 3, 3, 1)
        self.convs = nn.ModuleList(
            WeightNormConv2d(channels[i], channels[i + 1], (5, 1), (stride, 1), padding=(2, 0))
            for i, stride in enumerate(strides)
        )
        self.conv_post = WeightNormConv2d(channels[-1], 1, (config.period_last_kernel, 1), padding=(1, 0))

    def forward(self, wav: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = reflect(wav, 0, -wav.size(2) % self.period)
        x = _match_layout(wav, x.unflatten(2, (-1, self.period)))
        return _run_layers(x, self.convs, self.conv_post, fused=self.fused)


class MultiPeriodDiscriminator(nn.Module):
    """One `PeriodDiscriminator` per period. The periods are primes, so that they overlap as little as possible."""

    def __init__(
        self, periods: Sequence[int] = (2, 3, 5, 7, 11), width: float = 1.0, config: DiscriminatorConfig = RECIPE
    ) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(PeriodDiscriminator(period, width, config) for period in periods)

    def forward(self, wav: Tensor, signals: int = 1) -> Judgement:
        """wav [signals * B, 1, T] -> (scores, fmaps)."""
        return _split([discriminator(wav) for discriminator in self.discriminators])


class ScaleDiscriminator(nn.Module):
    """Judges the waveform through grouped, strided convolutions.

    Args:
        conv: convolution with spectral or with weight norm.
        amp_grouped_conv: False runs grouped convolutions in fp32 under autocast, which is faster on some GPUs.
        width, config: see `build_discriminators`.
    """

    fused = False  # see `fuse_activations`

    def __init__(
        self,
        conv: type[SpectralNormConv1d] | type[WeightNormConv1d],
        amp_grouped_conv: bool = True,
        width: float = 1.0,
        config: DiscriminatorConfig = RECIPE,
    ) -> None:
        super().__init__()
        self.amp_grouped_conv = amp_grouped_conv
        channels = (1, *(int(count * width) for count in (128, 128, 256, 512, 1024, 1024, 1024)))
        kernels = (15, 41, 41, 41, 41, 41, 5)
        strides = config.scale_strides
        groups = (1, 4, 16, 16, 16, 16, 1)
        self.convs = nn.ModuleList(
            conv(channels[i], channels[i + 1], kernels[i], strides[i], padding=kernels[i] // 2, groups=groups[i])
            for i in range(len(kernels))
        )
        self.conv_post = conv(channels[-1], 1, 3, padding=1)

    def forward(self, wav: Tensor, signals: int = 1) -> tuple[Tensor, list[Tensor]]:
        return _run_layers(wav, self.convs, self.conv_post, signals, self.amp_grouped_conv, self.fused)


class MultiScaleDiscriminator(nn.Module):
    """Three `ScaleDiscriminator`s: on the raw signal (with spectral norm), at half and at a quarter of the rate."""

    def __init__(self, amp_grouped_conv: bool = True, width: float = 1.0, config: DiscriminatorConfig = RECIPE) -> None:
        super().__init__()
        convs = (SpectralNormConv1d, WeightNormConv1d, WeightNormConv1d)
        self.discriminators = nn.ModuleList(ScaleDiscriminator(conv, amp_grouped_conv, width, config) for conv in convs)
        self.narrow = width < NARROW
        self.pool = nn.AvgPool1d(4, 2, padding=config.pool_padding)

    def forward(self, wav: Tensor, signals: int = 1) -> Judgement:
        """wav [signals * B, 1, T] -> (scores, fmaps)."""
        results = []
        if self.narrow:
            wav = wav.flatten(1).unsqueeze(1)  # no longer rows
        for i, discriminator in enumerate(self.discriminators):
            wav = _match_layout(wav, self.pool(wav)) if i else wav
            results.append(discriminator(wav, signals))
        return _split(results)


def spectral_norms(module: nn.Module) -> list[SpectralNormConv1d]:
    """Return the convolutions below `module` that use spectral norm."""
    return [layer for layer in module.modules() if isinstance(layer, SpectralNormConv1d)]


def advance_spectral_norm(module: nn.Module, count: int) -> None:
    """Advance the spectral-norm vectors of `module` as `count` forward passes in training mode would."""
    for layer in spectral_norms(module):
        layer.power_iterations(count)


def judge_both(discriminator: nn.Module, real: Tensor, fake: Tensor, in_one_call: bool) -> tuple[Judgement, Judgement]:
    """Return a discriminator's judgements of real and fake [B, 1, T], computed in one call or in two."""
    if not in_one_call:
        return discriminator(real), discriminator(fake)
    scores, fmaps = discriminator(_match_layout(real, torch.cat([real, fake])), signals=2)
    halves = [score.split(len(real)) for score in scores]
    map_halves = [[fmap.split(len(real)) for fmap in maps] for maps in fmaps]
    of_real, of_fake = (
        ([parts[half] for parts in halves], [[parts[half] for parts in maps] for maps in map_halves])
        for half in range(2)
    )
    return of_real, of_fake


def fuse_activations(module: nn.Module) -> None:
    """Let all discriminators below `module` finish their convolutions with `hifigan.gpu.activation`."""
    for child in module.modules():
        if isinstance(child, PeriodDiscriminator | ScaleDiscriminator):
            child.fused = True


def _run_layers(
    x: Tensor,
    convs: nn.ModuleList,
    conv_post: nn.Module,
    signals: int = 1,
    amp_grouped_conv: bool = True,
    fused: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    layer = _fused_layer if fused else _layer
    fmaps = []
    for conv in convs:
        if conv.groups == 1 or amp_grouped_conv:
            x, fmap = layer(conv, x, signals)
        else:
            with torch.autocast(x.device.type, enabled=False):
                x, fmap = layer(conv, x.float(), signals)
        fmaps.append(fmap)
    if fused:
        x, fmap = _fused_layer(conv_post, x, signals, slope=1.0)
    else:
        x = fmap = _convolve(conv_post, x, signals)
    fmaps.append(fmap)
    return x.flatten(1), fmaps


def _layer(conv: nn.Module, x: Tensor, signals: int) -> tuple[Tensor, Tensor]:
    """Return the activation twice: for the next layer and as a feature map."""
    x = F.leaky_relu(_convolve(conv, x, signals), SLOPE)
    return x, x


def _fused_layer(conv: Any, x: Tensor, signals: int, slope: float = SLOPE) -> tuple[Tensor, Tensor]:
    from hifigan.gpu.activation import bias_leaky_relu  # imports Triton

    y, bias, divisors = conv.unfinished(x, signals)
    x, fmap = bias_leaky_relu(y, bias, slope, divisors, uses=2)
    return x, fmap


def _match_layout(wav: Tensor, x: Tensor) -> Tensor:
    """Return `x` in the memory layout of `wav`, which determines how all layers compute."""
    return to_rows(x) if are_rows(wav) else x


def _convolve(conv: nn.Module, x: Tensor, signals: int) -> Tensor:
    # Only spectral norm changes from one call to the next.
    return conv(x, signals) if isinstance(conv, SpectralNormConv1d) else conv(x)


def _split(results: list[tuple[Tensor, list[Tensor]]]) -> Judgement:
    return [scores for scores, _ in results], [fmaps for _, fmaps in results]
