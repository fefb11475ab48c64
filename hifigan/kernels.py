"""Convolutions of training on a CPU, in formulations that its matrix units like better than PyTorch's own.

Shapes: N items, C input and O output channels, T time steps, P columns (a period, else 1), k taps, g groups.
All signals are "rows": the channels of one place lie side by side in memory, [N, T, P, C], so that nothing is
reordered between layers. The shapes seen outside stay the usual ones, [N, C, T] or [N, C, T, P]; only strides tell.

Every function computes the same sums as PyTorch's convolution, in another order. `benchmarks/training-cpu.md` has what
it gains.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hifigan import minimal_filtering

GRADIENT_ROWS = 128  # of one block of a grouped convolution's weight gradient


def to_rows(x: Tensor) -> Tensor:
    """The same signal [N, C, T(, P)] with the channels innermost in memory."""
    rows = x.movedim(1, -1).contiguous()
    # Flattened first: else a single channel keeps the stride that it had.
    return rows.flatten().view(rows.shape).movedim(-1, 1)


def are_rows(x: Tensor) -> bool:
    """Whether `x` is a signal on the CPU whose channels are innermost in memory (also where there is but one)."""
    return x.device.type == "cpu" and x.stride(1) == 1 and x.size(2) > 1 and x.movedim(1, -1).is_contiguous()


def prepared_weight(weight: Tensor, stride: int, padding: int, dilation: int, groups: int) -> Tensor:
    """A weight [O, C / g, k(, 1)] as `convolve_rows` takes it, in autocast's precision and another shape or layout."""
    outputs, inputs = weight.shape[:2]
    if torch.is_autocast_enabled("cpu"):
        weight = weight.to(torch.get_autocast_dtype("cpu"))
    if minimal_filtering.pays(weight, stride, dilation, groups):
        # Of five dimensions, by which `convolve_rows` knows it.
        return minimal_filtering.transformed_weight(weight).unsqueeze(3).unsqueeze(4)
    if groups > 1:
        folded = _folded_weight(weight, stride, padding) if _folds(weight, stride) else weight
        return _image(folded).squeeze(2)
    if dilation == 1 and outputs > 1 and (inputs == 1 or inputs >= 512 or stride > 1):
        return weight.flatten(2).transpose(1, 2).reshape(outputs, -1)
    return weight


def convolve_rows(
    x: Tensor, weight: Tensor, bias: Tensor | None, taps: int, stride: int, padding: int, dilation: int, groups: int
) -> Tensor:
    """A convolution over time: rows [N, C, T] or [N, C, T, P] and a prepared weight -> rows of the same kind.

    Under autocast it computes in autocast's precision.
    """
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, bias = x.to(dtype), None if bias is None else bias.to(dtype)
    with torch.autocast("cpu", enabled=False):
        if weight.dim() == 5:
            return minimal_filtering.convolve(x, weight.flatten(2), bias, taps, padding, groups)
        if weight.dim() == 2:
            return _ColumnConvolution.apply(x, weight, bias, taps, stride, padding)
        if groups > 1:
            return _GroupedConvolution.apply(x, weight, bias, taps, stride, padding, groups)
        if x.dim() == 4:
            return F.conv2d(x, weight, bias, (stride, 1), (padding, 0), (dilation, 1))
        return F.conv2d(_image(x), _image(weight), bias, (1, stride), (0, padding), (1, dilation)).squeeze(2)


def convolve_transposed_rows(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """A transposed convolution of rows [N, C, T] with a weight [C, O, k] -> rows [N, O, T']."""
    return F.conv_transpose2d(_image(x), _image(weight), bias, (1, stride), (0, padding)).squeeze(2)


def _image(x: Tensor) -> Tensor:
    """[A, B, T] -> an image of one row [A, B, 1, T], in PyTorch's memory format `channels_last`."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


class _ColumnConvolution(torch.autograd.Function):
    """One large matrix product: what each output sees, [places, k * C], times the weight [k * C, O].

    For few channels or strides, and where the weight is larger than the signal: PyTorch reorders it in every call.
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
    """Rows [N, C, T(, P)] -> [N, T'(, P), k, C]: what each output place sees."""
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
    """The gradient of `_columns`: [N, T'(, P), k, C] -> rows [N, C, T(, P)]."""
    rows = columns.new_zeros(columns.size(0), length, *columns.shape[2:-2], columns.size(-1))
    for tap in range(columns.size(-2)):
        inside, seen = _seen_by(tap, length, columns.size(1), stride, padding)
        rows[:, seen] += columns[:, inside, ..., tap, :]
    return rows.movedim(-1, 1)


def _seen_by(tap: int, length: int, places: int, stride: int, padding: int) -> tuple[slice, slice]:
    """The output places whose tap lies inside the signal, and the samples that it sees there."""
    first = max(0, -(-(padding - tap) // stride))
    last = min(places - 1, (length - 1 + padding - tap) // stride)
    start = first * stride + tap - padding
    if last < first:
        return slice(0, 0), slice(0, 0)
    return slice(first, last + 1), slice(start, start + (last - first) * stride + 1, stride)


class _GroupedConvolution(torch.autograd.Function):
    """A grouped convolution over time of rows [N, C, T], with a prepared weight [O, C / g, k].

    In fp32 a stride s becomes s times the channels and k / s taps, and the weight gradient a few matrix products.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, taps: int, stride: int, padding: int, groups: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = (stride, padding, groups)
        if not _folds(weight, stride):
            return F.conv2d(_image(x), _image(weight), bias, (1, stride), (0, padding), groups=groups).squeeze(2)
        places = (x.size(2) + 2 * padding - taps) // stride + 1
        folded = _folded(x, places + weight.size(2) - 1, stride, padding, groups)
        return F.conv2d(_image(folded), _image(weight), bias, groups=groups).squeeze(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, groups = ctx.geometry
        wanted = list(ctx.needs_input_grad[:2])
        d_x = d_weight = d_bias = None
        if x.dtype is not torch.float32:
            d_x, d_weight = _pytorch_gradients(grad, x, weight, stride, padding, groups, wanted)
        else:
            if wanted[0]:
                d_x = _input_gradient(grad, x, weight, stride, padding, groups)
            if wanted[1]:
                first = -(-padding // stride) * stride if _folds(weight, stride) else padding
                d_weight = _weight_gradient(grad, x, weight.size(2), stride, first, groups)
        if ctx.needs_input_grad[2]:
            d_bias = grad.sum((0, 2))
        return d_x, d_weight, d_bias, None, None, None, None


def _folds(weight: Tensor, stride: int) -> bool:
    return weight.dtype is torch.float32 and stride > 1


def _pytorch_gradients(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, groups: int, wanted: list[bool]
) -> tuple[Tensor | None, Tensor | None]:
    d_x, d_weight, _ = torch.ops.aten.convolution_backward(
        _image(grad), _image(x), _image(weight), None, (1, stride), (0, padding), (1, 1), False, (0, 0), groups,
        [*wanted, False],
    )  # fmt: skip
    return (d_x.squeeze(2) if wanted[0] else None), (d_weight.squeeze(2) if wanted[1] else None)


def _input_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, groups: int) -> Tensor:
    if stride == 1:
        d_x, _ = _pytorch_gradients(grad, x, weight, stride, padding, groups, [True, False])
        assert d_x is not None
        return d_x
    items, channels, length = x.shape
    like = grad.new_empty(()).expand(items, channels * stride, grad.size(2) + weight.size(2) - 1)
    folded, _ = _pytorch_gradients(grad, like, weight, 1, 0, groups, [True, False])
    assert folded is not None
    first, steps = -(-padding // stride), -(-length // stride)
    inside = folded.transpose(1, 2).unflatten(2, (groups, stride, -1))[:, first : first + steps].transpose(2, 3)
    rows = inside.reshape(items, -1, channels)  # samples at the end that no output sees may be missing
    return _longer(rows, length - rows.size(1)).transpose(1, 2)


def _folded(x: Tensor, steps: int, stride: int, padding: int, groups: int) -> Tensor:
    """Rows [N, C, T] -> rows [N, C * s, steps], zeros at both ends; each group has its s * C / g channels.

    The zeros at the beginning are whole steps, if need be more than `padding`, which `_folded_weight` knows.
    """
    items, channels, length = x.shape
    first = -(-padding // stride)
    rows = _longer(x.transpose(1, 2), -length % stride).unflatten(1, (-1, stride))
    last = min(first + rows.size(1), steps)
    folded = x.new_empty(items, steps, groups, stride, channels // groups)
    folded[:, :first], folded[:, last:] = 0, 0
    folded[:, first:last] = rows[:, : last - first].unflatten(3, (groups, -1)).transpose(2, 3)
    return folded.flatten(2).transpose(1, 2)


def _longer(rows: Tensor, steps: int) -> Tensor:
    """[N, T, C] -> [N, T + steps, C] (or shorter); PyTorch would copy where there is nothing to add."""
    return F.pad(rows, (0, 0, 0, steps)) if steps else rows


def _folded_weight(weight: Tensor, stride: int, padding: int) -> Tensor:
    """[O, C / g, k] -> [O, s * C / g, k / s], with zeros at both ends where it takes them."""
    before = -padding % stride
    padded = F.pad(weight, (before, -(before + weight.size(2)) % stride))
    return padded.unflatten(2, (-1, stride)).permute(0, 3, 1, 2).flatten(1, 2)


def _weight_gradient(grad: Tensor, x: Tensor, steps: int, stride: int, padding: int, groups: int) -> Tensor:
    """The gradient of a prepared weight [O, s * C / g, steps].

    Both signals are cut into blocks of R steps. The products of a block of `grad` with the block of `x` that lies j
    further hold all products of steps that are j * R - R < q < j * R + R apart; their diagonals are taps.
    """
    outputs, places = grad.size(1) // groups, grad.size(2)
    block = max(1, GRADIENT_ROWS // outputs)
    shifts = -(-(steps + block - 1) // block)
    blocks = -(-places // block) + shifts - 1  # of each item; zeros of `grad` keep the items apart
    inputs = _by_group(x, groups, padding, blocks, block * stride, shifts - 1)
    errors = _by_group(grad, groups, 0, blocks, block, 0)
    n = errors.size(1)
    # [j, g, R', s * C / g, R, O / g]: R' before R, so that a step along the first two is one along the taps.
    products = x.new_empty(shifts, groups, inputs.size(2), errors.size(2))
    for shift in range(shifts):
        torch.bmm(inputs[:, shift : shift + n].transpose(1, 2), errors, out=products[shift])
    products = products.view(shifts, groups, block, -1, block, outputs)
    by_phase = products.new_zeros(steps, groups, products.size(3), outputs)
    steps_apart = products.transpose(1, 2).flatten(0, 1)  # [j * R + R', g, s * C / g, R, O / g]
    for row in range(block):
        by_phase += steps_apart[row : row + steps, :, :, row]
    return by_phase.permute(1, 3, 2, 0).flatten(0, 1)  # from [steps, g, s * C / g, O / g]


def _by_group(x: Tensor, groups: int, padding: int, blocks: int, size: int, extra: int) -> Tensor:
    """Rows [N, C, T] -> blocks of `size` steps [g, N * blocks + extra, size * C / g], each item between zeros."""
    items, channels, length = x.shape
    made = x.new_empty(groups, items * blocks + extra, size * (channels // groups))
    made[:, items * blocks :] = 0
    steps = made[:, : items * blocks].view(groups, items, blocks * size, -1)
    used = min(length, blocks * size - padding)
    steps[:, :, :padding], steps[:, :, padding + used :] = 0, 0
    steps[:, :, padding : padding + used] = x.transpose(1, 2)[:, :used].unflatten(2, (groups, -1)).permute(2, 0, 1, 3)
    return made
