"""Convolutions over time with fewer multiplications, on a CPU in fp32.

For m outputs, a filter of k taps takes m * k multiplications, each of which is a matrix product over channels here.
Signal and filter are polynomials, and n of their values suffice to multiply them (Winograd, "Arithmetic Complexity of
Computations", 1980). 5 taps and 4 outputs take m + k - 1 = 8 multiplications instead of 20, at small numbers (Toom and
Cook), with 3 to 4 times the rounding error of a plain sum, about 1e-6. 41 taps and 16 outputs take 83 instead of 656,
at roots of unity (the discrete Fourier transform, with 3 real products for each complex one), with the rounding error
of a plain sum. A stride s becomes s times the channels and k / s taps.

Shapes: N items, C input and O output channels, T time steps, P columns, k taps, s stride, g groups, R all tiles of all
items and columns.
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
TILE_OUTPUTS = 4  # outputs computed together at these points
MAX_TAPS_AT_POINTS = len(POINTS) + 2 - TILE_OUTPUTS
# Outputs computed together at roots of unity. A longer tile takes more memory for the transformed weight.
TILE_OUTPUTS_OF_SMALL_WEIGHTS, TILE_OUTPUTS_OF_LARGE_WEIGHTS = 32, 16
LARGE_TAP_ELEMENTS = 2**15  # of one tap of a weight, from which on the weight is large
MAX_SIGNAL_ELEMENTS_AT_ONCE = 2**23  # in the transformed signals of items computed together


class Transforms(NamedTuple):
    """Matrices in fp32: y = outputs^T ((taps w) * (inputs x)) are `tile` outputs for `tile + taps - 1` inputs x."""

    outputs: Tensor  # [n, tile]
    taps: Tensor  # [n, taps]
    inputs: Tensor  # [n, tile + taps - 1]


@functools.cache
def _transforms(taps: int, tile: int) -> Transforms:
    with torch.inference_mode(False):  # training shares the cached tensors
        matrices = _at_numbers(taps) if tile == TILE_OUTPUTS else _at_roots_of_unity(taps, tile)
        return Transforms(*(matrix.float() for matrix in matrices))


def _transforms_for(taps: int, outputs: int, inputs: int) -> Transforms:
    """Return the transforms for a weight with these taps, outputs, and inputs of each output, after striding."""
    if taps <= MAX_TAPS_AT_POINTS:
        return _transforms(taps, TILE_OUTPUTS)
    large = outputs * inputs >= LARGE_TAP_ELEMENTS
    return _transforms(taps, TILE_OUTPUTS_OF_LARGE_WEIGHTS if large else TILE_OUTPUTS_OF_SMALL_WEIGHTS)


def _at_numbers(taps: int) -> tuple[Tensor, Tensor, Tensor]:
    n = TILE_OUTPUTS + taps - 1
    powers = torch.tensor([[point**power for power in range(n)] for point in POINTS[: n - 1]], dtype=torch.float64)
    last = torch.eye(n, dtype=torch.float64)[-1:]  # the value at infinity is the highest coefficient
    of_outputs = torch.cat([powers[:, :TILE_OUTPUTS], last[:, -TILE_OUTPUTS:]])
    of_taps = torch.cat([powers[:, :taps], last[:, -taps:]])
    # Keep transformed weights near the size of weights. Scaling by powers of two is exact.
    scale = torch.exp2(-of_taps.norm(dim=1, keepdim=True).log2().round())
    return of_outputs, of_taps * scale, torch.linalg.inv(torch.cat([powers, last])).T / scale


def _at_roots_of_unity(taps: int, tile: int) -> tuple[Tensor, Tensor, Tensor]:
    n = tile + taps - 1
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
    return of_values[:, :tile], of_values[:, :taps], torch.stack(inverse)


def pays(weight: Tensor, stride: int, dilation: int, groups: int) -> bool:
    """Return whether a convolution with a weight [O, C / g, k(, 1)] is faster this way.

    The rule is from measurements of the discriminators' layers in total. 16-bit formats lack the precision for it.
    """
    if weight.dtype is not torch.float32 or dilation > 1:
        return False
    return groups > 1 or (stride == 1 and 2 < weight.size(2) <= MAX_TAPS_AT_POINTS and min(weight.shape[:2]) >= 512)


def transformed_weight(weight: Tensor, stride: int) -> Tensor:
    """Convert a weight [O, C / g, k(, 1)] to [n, O, s * C / g] for `convolve`."""
    flat = weight.flatten(2)
    if flat.size(2) % stride:
        flat = F.pad(flat, (0, -flat.size(2) % stride))
    by_tap = flat.unflatten(2, (-1, stride)).permute(2, 0, 3, 1).flatten(2)
    taps, outputs, inputs = by_tap.shape
    return (_transforms_for(taps, outputs, inputs).taps @ by_tap.flatten(1)).view(-1, outputs, inputs)


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, taps: int, stride: int, padding: int, groups: int
) -> Tensor:
    """Convolve rows [N, C, T] or [N, C, T, P] in fp32 with a transformed weight -> rows of the same kind."""
    y: Tensor = _WinogradConvolution.apply(
        x if x.dim() == 4 else x.unsqueeze(3), weight, bias, taps, stride, padding, groups
    )
    return y if x.dim() == 4 else y.squeeze(3)


class _WinogradConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, taps: int, stride: int, padding: int, groups: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        of = _transforms_for(-(-taps // stride), weight.size(1), weight.size(2))
        ctx.geometry = (of, stride, padding, groups)
        places = (x.size(2) + 2 * padding - taps) // stride + 1
        out = x.new_empty(len(x), places, x.size(3), groups, weight.size(1) // groups)
        for items in _split_items(x, len(weight), stride, -(-places // of.outputs.size(1))):
            seen = _by_product(_to_each(of.inputs, _tiles(x[items], of, stride, padding, groups, places)), groups)
            products = torch.bmm(seen, _by_group(weight, groups).transpose(1, 2))
            y = _to_each(of.outputs.t(), _by_tile(products, groups))
            y = y.view(groups, len(out[items]), -1, x.size(3), *y.shape[1:])  # [g, N, tiles, P, tile, O / g]
            y = y.permute(1, 2, 4, 3, 0, 5).flatten(1, 2)[:, :places]
            if bias is None:
                out[items] = y
            else:
                torch.add(y, bias.view(groups, -1), out=out[items])
        return out.flatten(3).movedim(-1, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of, stride, padding, groups = ctx.geometry
        rows = grad.movedim(1, -1)
        places, tile = rows.size(1), of.outputs.size(1)
        d_x = torch.empty_like(x.movedim(1, -1)).movedim(-1, 1) if ctx.needs_input_grad[0] else None
        d_weight: Tensor | None = None
        for items in _split_items(x, len(weight), stride, -(-places // tile)):
            tiles = _resize(rows[items], 0, -places % tile).unflatten(1, (-1, tile)).transpose(2, 3).flatten(0, 2)
            errors = _by_product(_to_each(of.outputs, tiles), groups)
            if d_x is not None:
                d_seen = torch.bmm(errors, _by_group(weight, groups))
                d_tiles = _to_each(of.inputs.t(), _by_tile(d_seen, groups))
                d_x[items] = _from_tiles(d_tiles, x[items], of, stride, padding, groups)
            if ctx.needs_input_grad[1]:
                seen = _by_product(_to_each(of.inputs, _tiles(x[items], of, stride, padding, groups, places)), groups)
                products = (errors.transpose(1, 2), seen)
                d_weight = torch.bmm(*products) if d_weight is None else d_weight.baddbmm_(*products)
        d_bias = rows.sum((0, 1, 2)) if ctx.needs_input_grad[2] else None
        return d_x, None if d_weight is None else d_weight.view(weight.shape), d_bias, None, None, None, None


def _split_items(x: Tensor, n: int, stride: int, tiles: int) -> list[slice]:
    """Split the items of `x` [N, C, T, P], so that the memory of one part fits caches and is reused for the next."""
    count = max(1, MAX_SIGNAL_ELEMENTS_AT_ONCE // (n * tiles * x.size(3) * stride * x.size(1)))
    return [slice(first, first + count) for first in range(0, len(x), count)]


def _to_each(matrix: Tensor, tiles: Tensor) -> Tensor:
    """Multiply each tile: [a, b] @ [R, b, C] -> [R, a, C]."""
    return torch.bmm(matrix.expand(len(tiles), -1, -1), tiles)


def _by_product(tiles: Tensor, groups: int) -> Tensor:
    """View [R, n, C] as [n * g, R, C / g]."""
    return tiles.view(len(tiles), tiles.size(1) * groups, -1).transpose(0, 1)


def _by_tile(products: Tensor, groups: int) -> Tensor:
    """View [n * g, R, C / g] as [g * R, n, C / g]."""
    return products.unflatten(0, (-1, groups)).flatten(1, 2).transpose(0, 1)


def _by_group(weight: Tensor, groups: int) -> Tensor:
    """View [n, O, C / g] as [n * g, O / g, C / g]."""
    return weight.view(len(weight) * groups, -1, weight.size(2))


def _tiles(x: Tensor, of: Transforms, stride: int, padding: int, groups: int, places: int) -> Tensor:
    """Gather the inputs of each tile: rows [N, C, T, P] -> [R, inputs, g * s * C / g]."""
    inputs, tile = of.inputs.size(1), of.outputs.size(1)
    steps = -(-places // tile) * tile + inputs - tile
    rows = _resize(x.movedim(1, -1), padding, steps * stride - padding - x.size(2))
    # [N, tiles, s, P, g, C / g, inputs]
    seen = rows.unflatten(1, (-1, stride)).unflatten(4, (groups, -1)).unfold(1, inputs, tile)
    return seen.permute(0, 1, 3, 6, 4, 2, 5).reshape(-1, inputs, stride * x.size(1))


def _from_tiles(tiles: Tensor, x: Tensor, of: Transforms, stride: int, padding: int, groups: int) -> Tensor:
    """Compute the gradient of `_tiles`: [g * R, inputs, s * C / g] -> rows like `x` [N, C, T, P]."""
    tile = of.outputs.size(1)
    shape = (groups, len(x), -1, x.size(3), tiles.size(1), stride, x.size(1) // groups)
    seen = tiles.view(shape).permute(1, 2, 4, 5, 3, 0, 6)  # [N, tiles, inputs, s, P, g, C / g]
    blocks = -(-seen.size(2) // tile)  # in the inputs of one tile
    sums = seen.new_zeros(len(x), seen.size(1) + blocks - 1, tile, *seen.shape[3:])
    for block in range(blocks):
        part = seen[:, :, block * tile : (block + 1) * tile]
        sums[:, block : block + seen.size(1), : part.size(2)] += part
    rows = sums.flatten(1, 3).flatten(3)  # may lack samples at the end that no output uses
    rows = _resize(rows, -padding, x.size(2) + padding - rows.size(1))
    return rows.contiguous().movedim(-1, 1)


def _resize(rows: Tensor, before: int, after: int) -> Tensor:
    """Pad [N, T, P, C] with zeros to [N, before + T + after, P, C]. Negative numbers crop."""
    return F.pad(rows, (0, 0, 0, 0, before, after)) if before or after else rows
