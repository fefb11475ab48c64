"""All weights of a module in the precision of autocast, in Triton: products of weight norm, and copies of others.

PyTorch needs two kernels per layer and direction: the norm and a conversion. Here one launch writes the
weights of all layers into one tensor, and one computes all gradients.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from common.machine import triton_kernels
from hifigan.gpu.weight_kernels import OPERATORS

ALIGNMENT = 64  # elements at whose multiples weights begin, so that cuDNN may use its fastest kernels
LONGEST_ROW = 4096  # of weights without norm


@dataclasses.dataclass(frozen=True)
class _Places:
    """Where the rows of several weights lie, those with norm first.

    Attributes:
        shapes: of the weights.
        addresses: of their parameters in the GPU's memory, with which the table is valid.
        weights, rows: see `weight_kernels`.
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
        assert all(tensor.is_contiguous() and tensor.dtype == torch.float32 for tensor in (*values, *norms))
        number = len(norms)
        elements = [value.numel() for value in values]
        row_sizes = [value[0].numel() for value in values[:number]] + [LONGEST_ROW] * (len(values) - number)
        counts = [-(-count // size) for count, size in zip(elements, row_sizes, strict=True)]
        first_rows = triton_kernels.begins(counts)
        begins = triton_kernels.begins(elements, ALIGNMENT)
        addresses = [triton_kernels.address(tensor) for tensor in (*values, *norms)]
        norm_addresses = addresses[len(values) :] + [0] * (len(values) - number)
        fields = zip(
            *(
                addresses[: len(values)],
                norm_addresses,
                first_rows,
                row_sizes,
                elements,
                begins,
                triton_kernels.begins(elements),
            ),
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
        flat, lengths = OPERATORS.normed_weights(places.weights, places.rows, parameters, places.size, dtype)
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
        grad_v, grad_g = OPERATORS.normed_weight_gradients(
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
        modules: on a GPU. Below them are layers with parameters `weight_g` and `weight_v` (weight norm), or
            `weight_orig` (spectral norm), in fp32. These should keep their memory: wherever it changes, a table is
            copied to the GPU, which a CUDA graph cannot do.
        dtype: precision in which the convolutions compute.
    """

    def __init__(self, modules: Sequence[nn.Module], dtype: torch.dtype) -> None:
        layers: list[Any] = [layer for module in modules for layer in module.modules()]
        self._normed = [layer for layer in layers if hasattr(layer, "weight_g")]
        # In fp32 other weights are used as they are.
        self._others = [layer for layer in layers if hasattr(layer, "weight_orig") and dtype != torch.float32]
        self._dtype = dtype
        self._places: _Places | None = None

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Compute the weights. Within this context, the layers use them in all calls.

        Only one backward pass is allowed.
        """
        weights = self._compute()
        layers = [*self._normed, *self._others]
        for layer, weight in zip(layers, weights, strict=True):
            layer.ready = weight
        try:
            yield
        finally:
            for layer in layers:
                layer.ready = None

    def _compute(self) -> Sequence[Tensor]:
        values: list[Tensor] = [layer.weight_v for layer in self._normed]
        values += [layer.weight_orig for layer in self._others]
        norms = [layer.weight_g for layer in self._normed]
        if not values:
            return ()
        addresses = [triton_kernels.address(tensor) for tensor in (*values, *norms)]
        if self._places is None or self._places.addresses != addresses:
            self._places = _Places.of([v.detach() for v in values], [g.detach() for g in norms])
        return _AllWeights.apply(self._places, self._dtype, len(norms), *values, *norms)


def check(device: torch.device) -> None:
    """Compare with PyTorch's operators on a device. Raise `AssertionError` if they differ."""
    numbers = torch.Generator().manual_seed(0)
    shapes = ((5, 3, 7), (20, 9, 67), (300,), (5, 1, 1), (20, 1, 1))
    parameters = [torch.randn(shape, generator=numbers).to(device).requires_grad_() for shape in shapes]
    values, norms = parameters[:3], parameters[3:]
    places = _Places.of(values, norms)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float16, 1e-3), (torch.bfloat16, 1e-2)):
        normed = [torch._weight_norm(v, g, 0) for v, g in zip(values, norms, strict=False)]
        expected = [weight.to(dtype) for weight in (*normed, values[2])]
        actual = _AllWeights.apply(places, dtype, len(norms), *parameters)
        errors = [torch.randn(shape, generator=numbers).to(device, dtype) for shape in shapes[:3]]
        gradients = [torch.autograd.grad(weights, parameters, errors) for weights in (expected, actual)]
        for one, other in zip((*actual, *gradients[1]), (*expected, *gradients[0]), strict=True):
            torch.testing.assert_close(one.float(), other.float(), rtol=tolerance, atol=tolerance)
