"""Compare ways to compute the discriminators' convolutions, layer by layer, to choose one for a device.

Each way gets its signal in its own memory layout, as a whole network would keep it. Weights are converted each time,
since they change in each step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from common.machine.precision import DTYPES
from common.machine.timing import now_sec
from hifigan.discriminators import MultiPeriodDiscriminator, MultiScaleDiscriminator

RUNS = 5
DENSE_CHANNELS = 64  # in a group of the way "wider groups"


@dataclasses.dataclass(frozen=True)
class Layer:
    """Convolution [O, C / g, k] over time, and its input signal: [C, T], or [C, T, P] with a period."""

    name: str
    weight: tuple[int, int, int]
    stride: int
    groups: int
    steps: int
    period: int = 0

    @property
    def signal(self) -> tuple[int, ...]:
        return (self.weight[1] * self.groups, self.steps, *([self.period] if self.period else []))

    @property
    def padding(self) -> int:
        return self.weight[2] // 2


class LayerWay(NamedTuple):
    """Way to compute a layer: lay out a signal [B, C, T(, P)], convolve it, and restore the usual shape."""

    laid_out: Callable[[Tensor, Layer], Tensor]
    convolve: Callable[[Tensor, Tensor, Layer], Tensor]
    usual: Callable[[Tensor, Layer], Tensor]


def layers(segment: int) -> list[Layer]:
    """Return all hidden layers of both discriminators for segments of `segment` samples."""
    found = []
    judge: Any
    for judge in MultiPeriodDiscriminator().discriminators:
        steps, period = -(-segment // judge.period), judge.period
        for i, conv in enumerate(judge.convs):
            shape = tuple(conv.weight_v.shape[:3])
            found.append(Layer(f"MPD, period {period}, layer {i + 1}", shape, conv.stride[0], 1, steps, period))
            steps = -(-steps // conv.stride[0])
    scales: Any = MultiScaleDiscriminator().discriminators
    for scale, judge in enumerate(scales):
        steps = segment >> scale
        for i, conv in enumerate(judge.convs):
            shape = tuple((conv.weight_orig if scale == 0 else conv.weight_v).shape)
            found.append(Layer(f"MSD, scale {scale + 1}, layer {i + 1}", shape, conv.stride[0], conv.groups, steps))
            steps = (steps + 2 * (shape[2] // 2) - shape[2]) // conv.stride[0] + 1
    return found


def ways(layer: Layer) -> dict[str, LayerWay]:
    """Return the ways to compute a layer, first PyTorch's own, which --fast on uses on GPUs."""
    if layer.period:
        return {
            "as it is": LayerWay(_same, _image, _same),
            "channels last": LayerWay(_channels_last, _image_channels_last, _same),
            "period in the batch": LayerWay(_folded, _series, _unfolded),
            "period in the batch, channels last": LayerWay(
                lambda x, layer: _channels_last(_folded(x, layer).unsqueeze(2), layer),
                _row,
                lambda y, layer: _unfolded(y.squeeze(2), layer),
            ),
        }
    found = {
        "as it is": LayerWay(_same, _series, _same),
        "channels last": LayerWay(
            lambda x, layer: _channels_last(x.unsqueeze(2), layer), _row, lambda y, layer: y.squeeze(2)
        ),
    }
    if layer.groups > 1:
        found["fp32"] = LayerWay(_same, lambda x, w, layer: _series(x.float(), w.float(), layer).to(x.dtype), _same)
        found["wider groups"] = LayerWay(_same, _wider_groups, _same)
        found["products"] = LayerWay(_same, _products, _same)
    return found


class LayerWays:
    """All layers, measured one at a time on request.

    Args:
        segment: samples of a segment.
        batch: size of the batches.
        amp_format: precision, or "fp32".
        device: where to measure.
    """

    def __init__(self, segment: int, batch: int, amp_format: str, device: str) -> None:
        torch.backends.cudnn.benchmark = True
        self._layers = {layer.name: layer for layer in layers(segment)}
        self._batch, self._dtype, self._device = batch, DTYPES[amp_format], torch.device(device)

    def names(self) -> list[str]:
        return list(self._layers)

    def seconds(self, name: str) -> dict[str, float | None]:
        return measured(self._layers[name], self._batch, self._dtype, self._device)


def measured(layer: Layer, batch: int, dtype: torch.dtype, device: torch.device) -> dict[str, float | None]:
    """Measure the seconds of each way, forward and backward to signal and weight. A way that fails has None."""
    x = torch.randn(batch, *layer.signal, device=device, dtype=dtype)
    weight = (torch.randn(layer.weight, device=device) / 10).requires_grad_()
    return {name: _seconds(way, x, weight, layer) for name, way in ways(layer).items()}


def _seconds(way: LayerWay, x: Tensor, weight: Tensor, layer: Layer) -> float | None:
    taken = []
    try:
        signal = way.laid_out(x, layer).detach().requires_grad_()
        for _ in range(2 + RUNS):
            began = now_sec(x.device)
            y = way.convolve(signal, weight.to(x.dtype), layer)
            torch.autograd.grad(y, (signal, weight), torch.ones_like(y))
            taken.append(now_sec(x.device) - began)
    except RuntimeError:
        return None
    return float(np.median(taken[2:]))


def _same(x: Tensor, layer: Layer) -> Tensor:
    return x


def _channels_last(x: Tensor, layer: Layer) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _folded(x: Tensor, layer: Layer) -> Tensor:
    return x.movedim(3, 1).flatten(0, 1)


def _unfolded(y: Tensor, layer: Layer) -> Tensor:
    return y.unflatten(0, (-1, layer.period)).movedim(1, 3)


def _image(x: Tensor, weight: Tensor, layer: Layer) -> Tensor:
    return F.conv2d(x, weight.unsqueeze(3), None, (layer.stride, 1), (layer.padding, 0))


def _image_channels_last(x: Tensor, weight: Tensor, layer: Layer) -> Tensor:
    laid_out = weight.unsqueeze(3).contiguous(memory_format=torch.channels_last)
    return F.conv2d(x, laid_out, None, (layer.stride, 1), (layer.padding, 0))


def _series(x: Tensor, weight: Tensor, layer: Layer) -> Tensor:
    return F.conv1d(x, weight, None, layer.stride, layer.padding, 1, layer.groups)


def _row(x: Tensor, weight: Tensor, layer: Layer) -> Tensor:
    laid_out = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    return F.conv2d(x, laid_out, None, (1, layer.stride), (0, layer.padding), 1, layer.groups)


def _wider_groups(x: Tensor, weight: Tensor, layer: Layer) -> Tensor:
    """Join groups, with zeros between them: more operations, but larger products."""
    outputs, inputs, taps = weight.shape
    joined = min(layer.groups, max(1, DENSE_CHANNELS // inputs))
    groups = layer.groups // joined
    # [groups, joined, O / g, 1, C / g, k] times an identity [joined, 1, joined, 1, 1]
    apart = weight.view(groups, joined, outputs // layer.groups, 1, inputs, taps)
    identity = torch.eye(joined, dtype=weight.dtype, device=weight.device).view(joined, 1, joined, 1, 1)
    wide = (apart * identity).view(outputs, joined * inputs, taps)
    return F.conv1d(x, wide, None, layer.stride, layer.padding, 1, groups)


def _products(x: Tensor, weight: Tensor, layer: Layer) -> Tensor:
    """Compute one matrix product for each group: its weight times the inputs of each output."""
    outputs, inputs, taps = weight.shape
    seen = F.pad(x, (layer.padding, layer.padding)).unfold(2, taps, layer.stride)  # [B, C, T', k]
    columns = seen.unflatten(1, (layer.groups, inputs)).permute(1, 2, 4, 0, 3).reshape(layer.groups, inputs * taps, -1)
    made = weight.view(layer.groups, outputs // layer.groups, -1) @ columns  # [g, O / g, B * T']
    return made.view(outputs, len(x), -1).transpose(0, 1)
