"""Convolutions of rows in 16 bits whose three passes are each computed in the way that this processor does fastest.

The passes are the output, the gradient of the input and the gradient of the weight. Each is either PyTorch's own
convolution, or matrix products of "columns": all inputs of each output place, gathered in memory. All products are
exact and summed in fp32, so that the ways differ as little as two orders of summation. See `choices` for how the ways
are chosen.

Shapes: N items, C input and O output channels, T time steps, P columns, k taps, s stride, g groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

PRODUCTS, CONVOLUTION = "products", "convolution"
IN_FP32 = "fp32"  # the whole layer as in fp32 training, see `rows`
# Columns are gathered part by part, to be read while caches hold them. A part that is small beside the weight would
# cost more: each product converts the weight again, and each sum of its gradient reads it.
COLUMN_ELEMENTS = 2**20
COLUMNS_PER_WEIGHT, COLUMNS_PER_WEIGHT_GRADIENT = 2, 4


class Geometry(NamedTuple):
    """Shape of a convolution over time."""

    taps: int
    stride: int
    padding: int
    dilation: int
    groups: int

    @classmethod
    def of(cls, conv: nn.Conv1d | nn.Conv2d) -> Geometry:
        """Return the geometry of a layer."""
        padding = conv.padding[0]
        assert isinstance(padding, int)
        return cls(conv.kernel_size[0], conv.stride[0], padding, conv.dilation[0], conv.groups)

    def places(self, steps: int) -> int:
        """Return the time steps of the output for a signal of `steps`."""
        return (steps + 2 * self.padding - self.dilation * (self.taps - 1) - 1) // self.stride + 1


class Ways(NamedTuple):
    """Ways of the passes of a convolution, each `PRODUCTS` or `CONVOLUTION`, or all three `IN_FP32`."""

    output: str
    input_gradient: str
    weight_gradient: str


class ChosenWeight:
    """Weight [O, C / g, k(, 1)] of a convolution, and its conversions for the ways of its passes, made when needed.

    The conversions carry no gradient: the function below returns the gradient of the weight itself.
    """

    def __init__(self, weight: Tensor, geometry: Geometry, ways: Ways, dtype: torch.dtype) -> None:
        self.weight, self.geometry, self.ways, self.dtype = weight, geometry, ways, dtype
        self._made: dict[str, Tensor] = {}

    def _once(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def image(self) -> Tensor:
        """Return the weight for images whose height is time, channels last [O, C / g, k, 1]."""
        return self._once("image", self._image)

    def _image(self) -> Tensor:
        weight = self.weight.detach()
        weight = weight if weight.dim() == 4 else weight.unsqueeze(3)
        return weight.to(self.dtype, memory_format=torch.channels_last)

    def columns(self) -> Tensor:
        """Return the matrix of each group, [g, O / g, k * C / g]."""
        # Channels last are [O, k, C / g] in memory.
        return self.image().squeeze(3).transpose(1, 2).reshape(self.geometry.groups, -1, self._row)

    def phase_columns(self, phase: int) -> Tensor:
        """Return the matrix of each group from outputs to the inputs of one phase of the stride, [g, J * O / g, C / g].

        J: the taps of the phase, the last one first.
        """
        return self._once(f"phase {phase}", lambda: self._phase_columns(phase))

    def _phase_columns(self, phase: int) -> Tensor:
        by_tap = self.columns().unflatten(2, (self.geometry.taps, -1))[:, :, phase :: self.geometry.stride]
        return by_tap.flip(2).transpose(1, 2).flatten(1, 2)  # [g, J, O / g, C / g], then flat

    @property
    def _row(self) -> int:
        return self.geometry.taps * self.weight.size(1)


def convolve_chosen(x: Tensor, weight: ChosenWeight, bias: Tensor | None) -> Tensor:
    """Convolve rows [N, C, T(, P)] over time -> rows of the same kind in the format of `weight`."""
    with torch.autocast("cpu", enabled=False):
        y: Tensor = _ChosenConvolution.apply(x.to(weight.dtype), weight.weight, bias, weight)
        return y


def output(way: str, x: Tensor, weight: ChosenWeight, bias: Tensor | None) -> Tensor:
    """Compute the output of rows [N, C, T, P] in one way -> rows [N, O, T', P]."""
    g = weight.geometry
    if way == CONVOLUTION:
        in_row = x.size(3) == 1
        return _turn(
            F.conv2d(_turn(x, in_row), _turn(weight.image(), in_row), bias, *_shape(g, in_row), g.groups), in_row
        )
    rows = x.new_empty(x.size(0), g.places(x.size(2)), x.size(3), len(weight.weight))
    matrix = weight.columns().transpose(1, 2)
    by_group = None if bias is None else bias.view(g.groups, 1, -1)
    for items, part, columns in _gathered(x, g, COLUMNS_PER_WEIGHT * matrix.numel()):
        # With the bias inside the product, the result is rounded only once.
        products = torch.bmm(columns, matrix) if by_group is None else torch.baddbmm(by_group, columns, matrix)
        _write_groups(rows[items, part], products)
    return rows.movedim(-1, 1)


def input_gradient(way: str, grad: Tensor, x: Tensor, weight: ChosenWeight) -> Tensor:
    """Compute the gradient of rows `x` [N, C, T, P] from the outputs' [N, O, T', P] in one way."""
    if way == CONVOLUTION:
        return _convolution_backward(grad, x, weight.image(), weight.geometry, 0)
    taps, s, padding, d, groups = weight.geometry
    rows = torch.empty(x.size(0), x.size(2), x.size(3), x.size(1), dtype=x.dtype)
    for phase in range(s):
        seen_by = len(range(phase, taps, s))  # taps
        # The input at s * u + phase - padding meets tap phase + s * j in the output at u - d * j.
        first, last = -(-(padding - phase) // s), (x.size(2) - 1 + padding - phase) // s
        start = s * first + phase - padding
        if last < first:  # the signal is shorter than the stride
            continue
        if seen_by == 0:
            rows[:, start::s] = 0
            continue
        reach = d * (seen_by - 1)
        before, after = reach - first, last + 1 - grad.size(2)
        matrix = weight.phase_columns(phase)
        padded = _pad(grad.movedim(1, -1), before, after)
        window = Geometry(seen_by, 1, 0, d, groups)
        for items, part, columns in _gathered(padded.movedim(-1, 1), window, COLUMNS_PER_WEIGHT * matrix.numel()):
            _write_groups(rows[items, start::s][:, part], torch.bmm(columns, matrix))
    return rows.movedim(-1, 1)


def weight_gradient(way: str, grad: Tensor, x: Tensor, weight: ChosenWeight) -> Tensor:
    """Compute the gradient of the weight [O, C / g, k, 1] in one way. Sums over parts of a batch are in fp32."""
    g = weight.geometry
    if way == CONVOLUTION:
        return _convolution_backward(grad, x, weight.image(), g, 1)
    total: Tensor | None = None
    for items, part, columns in _gathered(x, g, COLUMNS_PER_WEIGHT_GRADIENT * weight.weight.numel()):
        errors = (
            grad[items, :, part].unflatten(1, (g.groups, -1)).permute(1, 2, 0, 3, 4).flatten(2)
        )  # [g, O / g, places]
        product = torch.bmm(errors, columns).float()
        total = product if total is None else total.add_(product)
    assert total is not None
    return total.view(len(weight.weight), g.taps, -1).transpose(1, 2).unsqueeze(3)


class _ChosenConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, chosen: ChosenWeight) -> Tensor:
        ctx.save_for_backward(x)
        ctx.chosen = chosen
        y = output(chosen.ways.output, _as_image(x), chosen, None if bias is None else bias.to(x.dtype))
        return y if x.dim() == 4 else y.squeeze(3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (saved,) = ctx.saved_tensors
        chosen: ChosenWeight = ctx.chosen
        x, grad = _as_image(saved), _as_image(grad)
        rows = grad.movedim(1, -1).contiguous()
        grad = rows.movedim(-1, 1)
        d_x = d_weight = d_bias = None
        if ctx.needs_input_grad[0]:
            d_x = input_gradient(chosen.ways.input_gradient, grad, x, chosen).view_as(saved)
        if ctx.needs_input_grad[1]:
            d_weight = weight_gradient(chosen.ways.weight_gradient, grad, x, chosen)
            # The backward pass of weight norm takes several times as long with taps innermost in memory only in the
            # weight, and PyTorch reorders fp32 faster than 16 bits.
            d_weight = d_weight.to(chosen.weight.dtype).contiguous().view_as(chosen.weight)
        if ctx.needs_input_grad[2]:
            d_bias = rows.sum((0, 1, 2), dtype=torch.float32)
        return d_x, d_weight, d_bias, None


def _as_image(x: Tensor) -> Tensor:
    return x if x.dim() == 4 else x.unsqueeze(3)


def _convolution_backward(grad: Tensor, x: Tensor, weight: Tensor, g: Geometry, which: int) -> Tensor:
    """Return PyTorch's gradient of the input (`which` 0) or of the weight (1)."""
    in_row = x.size(3) == 1
    images = (_turn(image, in_row) for image in (grad, x, weight))
    mask = [which == number for number in range(3)]
    found = torch.ops.aten.convolution_backward(*images, None, *_shape(g, in_row)[:3], False, [0, 0], g.groups, mask)
    return _turn(found[which], in_row)


def _turn(image: Tensor, in_row: bool) -> Tensor:
    """Turn an image of one column [N, C, T, 1] to one row [N, C, 1, T], or back. PyTorch is faster with one row."""
    if not in_row:
        return image
    # The stride of the dimension of size 1 matters to PyTorch's choice of a kernel.
    return image.squeeze(3).unsqueeze(2) if image.size(3) == 1 else image.squeeze(2).unsqueeze(3)


def _shape(g: Geometry, in_row: bool) -> tuple[list[int], list[int], list[int]]:
    """Return stride, padding and dilation of images."""
    stride, padding, dilation = (
        [none, value] if in_row else [value, none] for value, none in ((g.stride, 1), (g.padding, 0), (g.dilation, 1))
    )
    return stride, padding, dilation


def _gathered(x: Tensor, g: Geometry, at_least: int) -> Iterator[tuple[slice, slice, Tensor]]:
    """Gather the columns of rows [N, C, T, P], in parts of `at_least` elements.

    Yields:
        Items and output steps of the part, and their columns [g, N * T' * P, k * C / g].
    """
    steps = g.places(x.size(2))
    row = x.size(3) * g.taps * x.size(1)
    count = max(1, max(COLUMN_ELEMENTS, at_least) // row)  # output steps of all items at once
    items_at_once, steps_at_once = max(1, count // steps), min(steps, count)
    for first in range(0, len(x), items_at_once):
        items = slice(first, first + items_at_once)
        rows = _pad(x[items].movedim(1, -1), g.padding, g.padding).unflatten(3, (g.groups, -1))
        rows = rows.permute(3, 0, 1, 2, 4).contiguous()  # [g, N, T, P, C / g]
        step = rows.stride(2)
        strides = (*rows.stride()[:2], g.stride * step, rows.stride(3), g.dilation * step, 1)
        for start in range(0, steps, steps_at_once):
            part = slice(start, min(start + steps_at_once, steps))
            shape = (*rows.shape[:2], part.stop - start, rows.size(3), g.taps, rows.size(4))
            columns = rows.as_strided(shape, strides, start * g.stride * step)
            yield items, part, columns.reshape(g.groups, -1, g.taps * rows.size(4))


def _write_groups(rows: Tensor, products: Tensor) -> None:
    """Write products [g, N * T * P, C / g] to rows [N, T, P, C]."""
    by_group = products.view(len(products), *rows.shape[:3], -1).movedim(0, 3)
    rows.unflatten(3, by_group.shape[3:]).copy_(by_group)


def _pad(rows: Tensor, before: int, after: int) -> Tensor:
    """Pad [N, T, P, C] with zeros to [N, before + T + after, P, C]. Negative numbers crop."""
    return F.pad(rows, (0, 0, 0, 0, before, after)) if before or after else rows
