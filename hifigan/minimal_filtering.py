"""Convolutions over time with fewer multiplications, for many channels on a CPU in fp32.

For m outputs, a filter of k taps takes m * k multiplications, each of them a matrix product over channels here. Signal
and filter are polynomials, and n of their values are enough to multiply them (Winograd, "Arithmetic Complexity of
Computations", 1980): of 5 taps and 4 outputs m + k - 1 = 8 in place of 20, at small numbers (Toom and Cook), with 3 to
4 times the rounding error of a plain sum, about 1e-6; of 41 taps and 16 outputs 83 in place of 656, at roots of unity
(the discrete Fourier transform, 3 real products for each complex one), with the rounding error of a plain sum.

Shapes: N items, C input and O output channels, T time steps, P columns, g groups, R all tiles of all items and columns.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

POINTS = (0.0, 1.0, -1.0, 0.5, -2.0, -0.5, 2.0)  # and infinity
SHORT_TILE = 4  # outputs that are computed together, of filters with so few taps that POINTS are enough
LONG_TILE = 16
MOST_TAPS = len(POINTS) + 2 - SHORT_TILE


class Transforms(NamedTuple):
    """y = outputs^T ((taps w) * (inputs x)) are `tile` outputs of x, `tile + taps - 1` inputs long; fp32."""

    outputs: Tensor  # [n, tile]
    taps: Tensor  # [n, taps]
    inputs: Tensor  # [n, tile + taps - 1]


@functools.cache
def transforms(taps: int) -> Transforms:
    made = _at_numbers(taps) if taps <= MOST_TAPS else _at_roots_of_unity(taps)
    return Transforms(*(matrix.float() for matrix in made))


def _at_numbers(taps: int) -> tuple[Tensor, Tensor, Tensor]:
    n = SHORT_TILE + taps - 1
    powers = torch.tensor([[point**power for power in range(n)] for point in POINTS[: n - 1]], dtype=torch.float64)
    last = torch.eye(n, dtype=torch.float64)[-1:]  # the value at infinity is the highest coefficient
    of_outputs = torch.cat([powers[:, :SHORT_TILE], last[:, -SHORT_TILE:]])
    of_taps = torch.cat([powers[:, :taps], last[:, -taps:]])
    # Transformed weights keep about the size of weights; powers of two are exact.
    scale = torch.exp2(-of_taps.norm(dim=1, keepdim=True).log2().round())
    return of_outputs, of_taps * scale, torch.linalg.inv(torch.cat([powers, last])).T / scale


def _at_roots_of_unity(taps: int) -> tuple[Tensor, Tensor, Tensor]:
    n = LONG_TILE + taps - 1
    time = torch.arange(n, dtype=torch.float64)
    values, inverse = [], []
    for frequency in range(n // 2 + 1):
        cos, sin = (f(2 * math.pi * frequency * time / n) for f in (torch.cos, torch.sin))
        if 2 * frequency % n == 0:
            values.append(cos)
            inverse.append(cos / n)
        else:  # (a - ib)(c - id) from ac, bd and (a + b)(c + d)
            values += [cos, sin, cos + sin]
            inverse += [2 / n * (cos - sin), -2 / n * (cos + sin), 2 / n * sin]
    of_values = torch.stack(values)
    return of_values[:, :LONG_TILE], of_values[:, :taps], torch.stack(inverse)


def pays(weight: Tensor, stride: int, dilation: int, groups: int) -> bool:
    """Whether a convolution of a weight [O, C / g, k(, 1)] is faster so. In 16 bits the digits would not do."""
    outputs, inputs, taps = weight.shape[:3]
    if weight.dtype is not torch.float32 or stride > 1 or dilation > 1:
        return False
    if taps <= MOST_TAPS:
        return groups == 1 and taps > 2 and min(inputs, outputs) >= 512
    return taps > 2 * LONG_TILE and min(inputs, outputs // groups) >= 64


def transformed_weight(weight: Tensor) -> Tensor:
    """A weight [O, C / g, k(, 1)] as `convolve` takes it, [n, O, C / g]."""
    by_tap = weight.flatten(2).permute(2, 0, 1)
    return (transforms(len(by_tap)).taps @ by_tap.flatten(1)).view(-1, *by_tap.shape[1:])


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, taps: int, padding: int, groups: int) -> Tensor:
    """A convolution of rows [N, C, T] or [N, C, T, P] in fp32 with a transformed weight -> rows of the same kind."""
    y: Tensor = _Convolution.apply(x if x.dim() == 4 else x.unsqueeze(3), weight, bias, taps, padding, groups)
    return y if x.dim() == 4 else y.squeeze(3)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, taps: int, padding: int, groups: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = (taps, padding, groups)
        of = transforms(taps)
        places = x.size(2) + 2 * padding - taps + 1
        seen = _by_product(_to_each(of.inputs, _tiles(x, of, padding, places)), groups)
        products = torch.bmm(seen, _by_group(weight, groups).transpose(1, 2))
        tiles = _to_each(of.outputs.t(), _by_tile(products, groups))
        # [g, N, tiles, P, tile, O / g] -> [N, T, P, g, O / g]
        y = tiles.view(groups, len(x), -1, x.size(3), *tiles.shape[1:]).permute(1, 2, 4, 3, 0, 5)
        y = y.flatten(1, 2)[:, :places]
        rows = y.new_empty(*y.shape[:3], weight.size(1))
        if bias is None:
            rows.view(y.shape).copy_(y)
        else:
            torch.add(y, bias.view(groups, -1), out=rows.view(y.shape))
        return rows.movedim(-1, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        taps, padding, groups = ctx.geometry
        of = transforms(taps)
        rows = grad.movedim(1, -1)
        tile = of.outputs.size(1)
        tiles = F.pad(rows, (0, 0, 0, 0, 0, -rows.size(1) % tile)).unflatten(1, (-1, tile)).transpose(2, 3)
        errors = _by_product(_to_each(of.outputs, tiles.flatten(0, 2)), groups)
        d_x = d_weight = d_bias = None
        if ctx.needs_input_grad[0]:
            d_seen = torch.bmm(errors, _by_group(weight, groups))
            d_x = _from_tiles(_to_each(of.inputs.t(), _by_tile(d_seen, groups)), x, of, padding, groups)
        if ctx.needs_input_grad[1]:
            seen = _by_product(_to_each(of.inputs, _tiles(x, of, padding, rows.size(1))), groups)
            d_weight = torch.bmm(errors.transpose(1, 2), seen).view(weight.shape)
        if ctx.needs_input_grad[2]:
            d_bias = rows.sum((0, 1, 2))
        return d_x, d_weight, d_bias, None, None, None


def _to_each(matrix: Tensor, tiles: Tensor) -> Tensor:
    """[a, b] @ [R, b, C] -> [R, a, C]."""
    return torch.bmm(matrix.expand(len(tiles), -1, -1), tiles)


def _by_product(tiles: Tensor, groups: int) -> Tensor:
    """[R, n, C] -> [n * g, R, C / g], a view."""
    return tiles.view(len(tiles), tiles.size(1) * groups, -1).transpose(0, 1)


def _by_tile(products: Tensor, groups: int) -> Tensor:
    """[n * g, R, C / g] -> [g * R, n, C / g], a view."""
    return products.unflatten(0, (-1, groups)).flatten(1, 2).transpose(0, 1)


def _by_group(weight: Tensor, groups: int) -> Tensor:
    """[n, O, C / g] -> [n * g, O / g, C / g], a view."""
    return weight.view(len(weight) * groups, -1, weight.size(2))


def _tiles(x: Tensor, of: Transforms, padding: int, places: int) -> Tensor:
    """Rows [N, C, T, P] -> [R, inputs, C]: what each tile sees."""
    inputs, tile = of.inputs.size(1), of.outputs.size(1)
    count = -(-places // tile)
    steps = (count - 1) * tile + inputs
    rows = F.pad(x.movedim(1, -1), (0, 0, 0, 0, padding, steps - padding - x.size(2)))
    return rows.unfold(1, inputs, tile).permute(0, 1, 2, 4, 3).reshape(-1, inputs, x.size(1))


def _from_tiles(tiles: Tensor, x: Tensor, of: Transforms, padding: int, groups: int) -> Tensor:
    """The gradient of `_tiles`: [g * R, inputs, C / g] -> rows like `x` [N, C, T, P]."""
    tile = of.outputs.size(1)
    tiles = tiles.view(groups, len(x), -1, x.size(3), *tiles.shape[1:]).permute(1, 2, 4, 3, 0, 5)
    blocks = -(-tiles.size(2) // tile)  # that one tile sees
    sums = tiles.new_zeros(len(x), tiles.size(1) + blocks - 1, tile, *tiles.shape[3:])
    for block in range(blocks):
        part = tiles[:, :, block * tile : (block + 1) * tile]
        sums[:, block : block + tiles.size(1), : part.size(2)] += part
    return sums.flatten(1, 2)[:, padding : padding + x.size(2)].flatten(3).contiguous().movedim(-1, 1)
