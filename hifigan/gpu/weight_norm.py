"""All weights of a module in the precision of autocast, in Triton: g * v / ||v|| of weight norm, and copies of others.

PyTorch needs three kernels per layer and direction: the norm, and conversions of weight and bias. Here one launch
writes the weights of all layers into one tensor, and one computes all gradients. They add in fp32, in a fixed order.

A row has one norm: it is what weight norm keeps of an output channel (transposed convolutions: of an input channel).
Weights without norm are cut into rows of any size.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from common.machine import triton_kernels
from hifigan.layers import SpectralNormConv1d, WeightNormConv1d, WeightNormConv2d, WeightNormConvTranspose1d

ALIGNMENT = 64  # elements at whose multiples weights begin, so that cuDNN may use its fastest kernels
LONGEST_ROW = 4096  # of weights without norm
BLOCK = 512  # elements that a program computes at a time
WEIGHT_NORMED = (WeightNormConv1d, WeightNormConv2d, WeightNormConvTranspose1d)
FIELDS = tl.constexpr(7)  # of a weight in `_Places.weights`


@triton.jit
def _row(weights, rows):
    """Find this program's row: addresses of its v and its g, its length, and where it begins in three tensors."""
    row = tl.program_id(0)
    weight = weights + tl.load(rows + row) * FIELDS
    values, norms = tl.load(weight), tl.load(weight + 1)
    index = row - tl.load(weight + 2)
    length = tl.load(weight + 3)
    begin = index * length
    length = tl.minimum(length, tl.load(weight + 4) - begin)
    v = values.to(tl.pointer_type(tl.float32)) + begin
    return v, norms, index, length, tl.load(weight + 5) + begin, tl.load(weight + 6) + begin


@triton.jit
def write_weights(weights, rows, flat, lengths, BLOCK: tl.constexpr):
    """flat = g * v / ||v||, or v where there is no g. `lengths` = ||v||."""
    v, norms, index, length, place, _ = _row(weights, rows)
    scale = tl.full((), 1.0, tl.float32)
    if norms != 0:
        squares = tl.zeros((BLOCK,), dtype=tl.float32)
        for first in range(0, length, BLOCK):
            at = first + tl.arange(0, BLOCK)
            part = tl.load(v + at, mask=at < length, other=0.0)
            squares += part * part
        norm = tl.sqrt(tl.sum(squares, axis=0))
        tl.store(lengths + tl.program_id(0), norm)
        scale = tl.load(norms.to(tl.pointer_type(tl.float32)) + index) / norm
    for first in range(0, length, BLOCK):
        at = first + tl.arange(0, BLOCK)
        part = tl.load(v + at, mask=at < length, other=0.0) * scale
        tl.store(flat + place + at, part.to(flat.dtype.element_ty), mask=at < length)


@triton.jit
def write_gradients(weights, rows, packed, lengths, grad_v, grad_g, BLOCK: tl.constexpr):
    """Gradients of v and g, from those of the weights one after the other in `packed`."""
    v, norms, index, length, place, source = _row(weights, rows)
    scale = tl.full((), 1.0, tl.float32)
    shift = tl.full((), 0.0, tl.float32)
    if norms != 0:
        products = tl.zeros((BLOCK,), dtype=tl.float32)
        for first in range(0, length, BLOCK):
            at = first + tl.arange(0, BLOCK)
            gradient = tl.load(packed + source + at, mask=at < length, other=0.0).to(tl.float32)
            products += gradient * tl.load(v + at, mask=at < length, other=0.0)
        norm = tl.load(lengths + tl.program_id(0))
        along = tl.sum(products, axis=0) / norm  # the gradient's part along v
        tl.store(grad_g + tl.program_id(0), along)
        scale = tl.load(norms.to(tl.pointer_type(tl.float32)) + index) / norm
        shift = along / norm
    for first in range(0, length, BLOCK):
        at = first + tl.arange(0, BLOCK)
        gradient = tl.load(packed + source + at, mask=at < length, other=0.0).to(tl.float32)
        if norms != 0:
            gradient = scale * (gradient - shift * tl.load(v + at, mask=at < length, other=0.0))
        tl.store(grad_v + place + at, gradient, mask=at < length)


def _launch_weights(
    weights: Tensor, rows: Tensor, parameters: Sequence[Tensor], size: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    # `parameters` are read through their addresses in `weights`. As arguments they tell PyTorch what is read.
    flat, lengths = _empty_weights(weights, rows, parameters, size, dtype)
    write_weights[(len(rows),)](weights, rows, flat, lengths, BLOCK)
    return flat, lengths


def _empty_weights(
    weights: Tensor, rows: Tensor, parameters: Sequence[Tensor], size: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    return weights.new_empty(size, dtype=dtype), weights.new_empty(len(rows), dtype=torch.float32)


def _launch_gradients(
    weights: Tensor, rows: Tensor, parameters: Sequence[Tensor], packed: Tensor, lengths: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    grad_v, grad_g = _empty_gradients(weights, rows, parameters, packed, lengths, size)
    write_gradients[(len(rows),)](weights, rows, packed, lengths, grad_v, grad_g, BLOCK)
    return grad_v, grad_g


def _empty_gradients(
    weights: Tensor, rows: Tensor, parameters: Sequence[Tensor], packed: Tensor, lengths: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    return lengths.new_empty(size), torch.empty_like(lengths)


_LIBRARY = torch.library.Library("hifigan", "FRAGMENT")
triton_kernels.define_operator(
    _LIBRARY,
    "normed_weights(Tensor weights, Tensor rows, Tensor[] parameters, int size, ScalarType dtype) -> (Tensor, Tensor)",
    _launch_weights,
    _empty_weights,
)
triton_kernels.define_operator(
    _LIBRARY,
    "normed_weight_gradients(Tensor weights, Tensor rows, Tensor[] parameters, Tensor packed, Tensor lengths, int size)"
    " -> (Tensor, Tensor)",
    _launch_gradients,
    _empty_gradients,
)


@dataclasses.dataclass(frozen=True)
class _Places:
    """Where the rows of several weights lie, those with norm first.

    Attributes:
        shapes: of the weights.
        addresses: of their parameters in the GPU's memory, with which the table is valid.
        weights: [number, FIELDS], for each weight: addresses of v and g, first row, elements of a row and of the
            weight, first element in the result, and first element if weights follow each other without gaps.
        rows: the weight of each row.
        begins: first elements of the weights in the result.
        first_rows: first rows of the weights.
        size: elements of the result.
    """

    shapes: list[torch.Size]
    addresses: list[int]
    weights: Tensor
    rows: Tensor
    begins: list[int]
    first_rows: list[int]
    size: int

    @classmethod
    def of(cls, values: Sequence[Tensor], norms: Sequence[Tensor]) -> _Places:
        number = len(norms)
        elements = [value.numel() for value in values]
        row_sizes = [value[0].numel() for value in values[:number]] + [LONGEST_ROW] * (len(values) - number)
        counts = [-(-count // size) for count, size in zip(elements, row_sizes, strict=True)]
        first_rows = _sums(counts)
        begins = _sums([-(-count // ALIGNMENT) * ALIGNMENT for count in elements])
        addresses = [triton_kernels.address(tensor) for tensor in (*values, *norms)]
        norm_addresses = addresses[len(values) :] + [0] * (len(values) - number)
        fields = zip(
            *(addresses[: len(values)], norm_addresses, first_rows, row_sizes, elements, begins, _sums(elements)),
            strict=False,
        )
        device = values[0].device
        rows = [index for index, count in enumerate(counts) for _ in range(count)]
        return cls(
            [value.shape for value in values],
            addresses,
            torch.tensor(list(fields), dtype=torch.int64, device=device),
            torch.tensor(rows, dtype=torch.int32, device=device),
            begins[:-1],
            first_rows[:-1],
            begins[-1],
        )

    def split(self, flat: Tensor) -> list[Tensor]:
        """Return the weights, which are views of the result."""
        return [
            flat[begin : begin + shape.numel()].view(shape)
            for begin, shape in zip(self.begins, self.shapes, strict=True)
        ]


class _AllWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, places: _Places, dtype: torch.dtype, norms: int, *parameters: Tensor) -> tuple[Tensor, ...]:
        flat, lengths = torch.ops.hifigan.normed_weights(places.weights, places.rows, parameters, places.size, dtype)
        ctx.set_materialize_grads(False)
        ctx.places, ctx.norms = places, norms
        ctx.save_for_backward(lengths, *parameters)
        return tuple(places.split(flat))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        places: _Places = ctx.places
        lengths, *parameters = ctx.saved_tensors
        used = next(gradient for gradient in gradients if gradient is not None)
        packed = torch.cat(
            [  # of an unused weight any values, since its result is dropped
                used.new_empty(shape.numel()) if gradient is None else gradient.reshape(-1)
                for gradient, shape in zip(gradients, places.shapes, strict=True)
            ]
        )
        with_norm = [*parameters[: ctx.norms], *parameters[len(gradients) :]]
        grad_v, grad_g = torch.ops.hifigan.normed_weight_gradients(
            places.weights, places.rows, with_norm, packed, lengths, places.size
        )
        of_norms = [
            grad_g[first : first + len(norm)].view_as(norm)
            for first, norm in zip(places.first_rows, parameters[len(gradients) :], strict=False)
        ]
        results = [*places.split(grad_v), *of_norms]
        unused = [gradient is None for gradient in (*gradients, *gradients[: ctx.norms])]
        return None, None, None, *(None if skip else result for skip, result in zip(unused, results, strict=True))


class AllWeights:
    """Computes the weights of all convolutions of some modules together.

    Args:
        modules: on a GPU, with parameters in fp32. They should keep their memory: wherever it changes, a table is
            copied to the GPU, which a CUDA graph cannot do.
        dtype: precision in which the convolutions compute.
    """

    def __init__(self, modules: Sequence[nn.Module], dtype: torch.dtype) -> None:
        layers = [layer for module in modules for layer in module.modules()]
        self._normed = [layer for layer in layers if isinstance(layer, WEIGHT_NORMED)]
        # In fp32 other weights and biases are used as they are.
        self._others = [layer for layer in layers if isinstance(layer, SpectralNormConv1d) and dtype != torch.float32]
        self._biased = [
            layer for layer in (*self._normed, *self._others) if layer.bias is not None and dtype != torch.float32
        ]
        self._dtype = dtype
        self._places: _Places | None = None

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Compute the weights. Within this context, the layers use them in all calls."""
        weights = self._compute()
        layers = [*self._normed, *self._others]
        biases = dict(zip(self._biased, weights[len(layers) :], strict=True))
        for layer, weight in zip(layers, weights, strict=False):
            layer.ready = weight, biases.get(layer, layer.bias)
        try:
            yield
        finally:
            for layer in layers:
                layer.ready = None

    def _compute(self) -> Sequence[Tensor]:
        values: list[Tensor] = [layer.weight_v for layer in self._normed]
        values += [layer.weight_orig for layer in self._others]
        values += [layer.bias for layer in self._biased if layer.bias is not None]
        norms = [layer.weight_g for layer in self._normed]
        if not values:
            return ()
        addresses = [triton_kernels.address(tensor) for tensor in (*values, *norms)]
        if self._places is None or self._places.addresses != addresses:
            self._places = _Places.of([v.detach() for v in values], [g.detach() for g in norms])
        return _AllWeights.apply(self._places, self._dtype, len(norms), *values, *norms)


def check(device: torch.device) -> None:
    """Compare with PyTorch's operators on a device. Raise `AssertionError` if they differ."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        convs = [WeightNormConv1d(3, 5, 7).to(device), WeightNormConvTranspose1d(20, 9, 5).to(device)]
        gradients = [torch.randn_like(p) for conv in convs for p in (conv.weight_v, conv.bias) if p is not None]
    parameters = [parameter for conv in convs for parameter in conv.parameters()]
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float16, 1e-3), (torch.bfloat16, 1e-2)):
        compared = []
        for shared in (AllWeights(convs, dtype).shared(), contextlib.nullcontext()):
            for parameter in parameters:
                parameter.grad = None
            with shared, torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                operands = [p for conv in convs for p in conv.operands() if p is not None]
            torch.autograd.backward(operands, [g.to(operand) for g, operand in zip(gradients, operands, strict=True)])
            compared.append([*operands, *(parameter.grad for parameter in parameters)])
        for one, other in zip(*compared, strict=True):
            torch.testing.assert_close(one.float(), other.float(), rtol=tolerance, atol=tolerance)


def _sums(counts: Sequence[int]) -> list[int]:
    """Return where each of several ranges begins if they follow each other, and where the last ends."""
    return [0, *itertools.accumulate(counts)]
