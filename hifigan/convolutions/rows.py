"""Convolutions of training on a CPU, in formulations that use its matrix units better than PyTorch's own.

Shapes: N items, C input and O output channels, T time steps, P columns (a period, else 1), k taps, g groups.
All signals are "rows": the channels of a place are adjacent in memory, [N, T, P, C], so that nothing is reordered
between layers. Tensors keep the usual shapes [N, C, T] or [N, C, T, P]. Only their strides differ.

Every function computes the same as PyTorch's convolution. `winograd` also needs fewer multiplications, with different
rounding. In 16 bits, `passes` has further formulations, among which `choices` chooses by measurement. See
`benchmarks/results/training-cpu.md` for the gain.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hifigan.convolutions import winograd
from hifigan.convolutions.passes import IN_FP32, ChosenWeight, Geometry, Ways, convolve_chosen


def to_rows(x: Tensor) -> Tensor:
    """Return a signal [N, C, T(, P)] with the channels innermost in memory."""
    rows = x.movedim(1, -1).contiguous()
    # Flatten first, since a single channel would keep its old stride.
    return rows.flatten().view(rows.shape).movedim(-1, 1)


def are_rows(x: Tensor) -> bool:
    """Return whether `x` is a signal on the CPU with channels innermost in memory, even if there is only one."""
    return x.device.type == "cpu" and x.stride(1) == 1 and x.size(2) > 1 and x.movedim(1, -1).is_contiguous()


def prepared_weight(weight: Tensor, g: Geometry, ways: Ways | None = None) -> Tensor | ChosenWeight:
    """Convert a weight [O, C / g, k(, 1)] to autocast's precision and the shape and layout for `convolve_rows`.

    Args:
        weight: in fp32, or in autocast's precision.
        g: geometry of the convolution.
        ways: how to compute it under autocast, or None for the way that suits most processors.
    """
    if not torch.is_autocast_enabled("cpu"):
        return _prepared_weight(weight, g)
    dtype = torch.get_autocast_dtype("cpu")
    if ways is not None and ways.output != IN_FP32:
        return ChosenWeight(weight, g, ways, dtype)
    with torch.autocast("cpu", enabled=False):
        return _prepared_weight(weight if ways else weight.to(dtype), g)


def _prepared_weight(weight: Tensor, g: Geometry) -> Tensor:
    outputs, inputs = weight.shape[:2]
    if winograd.pays(weight, g.stride, g.dilation, g.groups):
        # `convolve_rows` recognises it by its five dimensions.
        return winograd.transformed_weight(weight, g.stride).unsqueeze(3).unsqueeze(4)
    if g.groups > 1:
        return _image(weight).squeeze(2)
    if g.dilation == 1 and outputs > 1 and (inputs == 1 or inputs >= 512 or g.stride > 1):
        return weight.flatten(2).transpose(1, 2).reshape(outputs, -1)
    return weight


def convolve_rows(x: Tensor, weight: Tensor | ChosenWeight, bias: Tensor | None, g: Geometry) -> Tensor:
    """Convolve rows [N, C, T] or [N, C, T, P] over time with a prepared weight -> rows of the same kind.

    Under autocast, compute in the precision of the prepared weight, and return autocast's.
    """
    if isinstance(weight, ChosenWeight):
        return convolve_chosen(x, weight, bias)
    dtype = x.dtype
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, bias = x.to(weight.dtype), None if bias is None else bias.to(weight.dtype)
    with torch.autocast("cpu", enabled=False):
        return _convolve_rows(x, weight, bias, g).to(dtype)


def _convolve_rows(x: Tensor, weight: Tensor, bias: Tensor | None, g: Geometry) -> Tensor:
    if weight.dim() == 5:
        return winograd.convolve(x, weight.flatten(2), bias, g.taps, g.stride, g.padding, g.groups)
    if weight.dim() == 2:
        return _ColumnConvolution.apply(x, weight, bias, g.taps, g.stride, g.padding)
    if x.dim() == 4:
        return F.conv2d(x, weight, bias, (g.stride, 1), (g.padding, 0), (g.dilation, 1))
    return F.conv2d(_image(x), _image(weight), bias, (1, g.stride), (0, g.padding), (1, g.dilation), g.groups).squeeze(
        2
    )


def convolve_transposed_rows(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """Convolve rows [N, C, T] transposed with a weight [C, O, k] -> rows [N, O, T']."""
    return F.conv_transpose2d(_image(x), _image(weight), bias, (1, stride), (0, padding)).squeeze(2)


def _image(x: Tensor) -> Tensor:
    """Return [A, B, T] as an image of one row [A, B, 1, T], in PyTorch's memory format `channels_last`."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


class _ColumnConvolution(torch.autograd.Function):
    """One large matrix product: the inputs of each output, [places, k * C], times the weight [k * C, O].

    It suits few channels, strides, and weights that are larger than the signal, which PyTorch reorders in every call.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, taps: int, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = (taps, stride, padding)
        columns = _columns(x, taps, stride, padding)
        places = columns.flatten(0, -3).flatten(1)
        y = places @ weight.t() if bias is None else torch.addmm(bias, places, weight.t())
        return y.view(*columns.shape[:-2], -1).movedim(-1, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        taps, stride, padding = ctx.geometry
        rows = grad.movedim(1, -1).contiguous()
        places = rows.view(-1, rows.size(-1))
        d_x = d_weight = d_bias = None
        if ctx.needs_input_grad[0]:
            columns = (places @ weight).view(*rows.shape[:-1], taps, -1)
            d_x = _from_columns(columns, x.size(2), stride, padding)
        if ctx.needs_input_grad[1]:
            d_weight = places.t() @ _columns(x, taps, stride, padding).flatten(0, -3).flatten(1)
        if ctx.needs_input_grad[2]:
            d_bias = places.sum(0)
        return d_x, d_weight, d_bias, None, None, None


def _columns(x: Tensor, taps: int, stride: int, padding: int) -> Tensor:
    """Gather the inputs of each output place: rows [N, C, T(, P)] -> [N, T'(, P), k, C]."""
    rows = x.movedim(1, -1)
    places = (rows.size(1) + 2 * padding - taps) // stride + 1
    columns = rows.new_empty(rows.size(0), places, *rows.shape[2:-1], taps, rows.size(-1))
    for tap in range(taps):
        inside, seen = _seen_by(tap, rows.size(1), places, stride, padding)
        columns[:, : inside.start, ..., tap, :] = 0
        columns[:, inside, ..., tap, :] = rows[:, seen]
        columns[:, inside.stop :, ..., tap, :] = 0
    return columns


def _from_columns(columns: Tensor, length: int, stride: int, padding: int) -> Tensor:
    """Compute the gradient of `_columns`: [N, T'(, P), k, C] -> rows [N, C, T(, P)]."""
    rows = columns.new_zeros(columns.size(0), length, *columns.shape[2:-2], columns.size(-1))
    for tap in range(columns.size(-2)):
        inside, seen = _seen_by(tap, length, columns.size(1), stride, padding)
        rows[:, seen] += columns[:, inside, ..., tap, :]
    return rows.movedim(-1, 1)


def _seen_by(tap: int, length: int, places: int, stride: int, padding: int) -> tuple[slice, slice]:
    """Return the output places whose tap is inside the signal, and the samples at this tap."""
    first = max(0, -(-(padding - tap) // stride))
    last = min(places - 1, (length - 1 + padding - tap) // stride)
    start = first * stride + tap - padding
    if last < first:
        return slice(0, 0), slice(0, 0)
    return slice(first, last + 1), slice(start, start + (last - first) * stride + 1, stride)
