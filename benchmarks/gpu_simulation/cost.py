"""A model of what one operator costs a GPU: kernels, bytes moved, floating-point operations, seconds.

It describes PyTorch's CUDA backend, simplified, on an NVIDIA H200. Ratios between two ways to compute the same have
a meaning, seconds do not: cuDNN's transposes of the memory layout, caches, and the launches by the CPU are ignored.

* An operator is one kernel that reads its inputs and writes its results, unless `_special` lists it. This includes the
  project's own operators.
* Views and allocations cost nothing.
* A kernel takes the longest of its least duration, its bytes at the GPU's bandwidth, and its operations at the peak of
  its number format.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload

from common.machine import precision

# NVIDIA's data sheet of the H200 SXM has 4.8 TB/s, 989 TFLOP/s in 16 bits, 494 in TF32 (dense) and 67 in fp32. Good
# kernels reach about three quarters of the bandwidth and half of the arithmetic.
BANDWIDTH = 0.75 * 4.8e12  # bytes per second
TENSOR_CORES_16_BITS, TENSOR_CORES_TF32, CUDA_CORES_FP32 = 0.5 * 989e12, 0.5 * 494e12, 0.5 * 67e12  # FLOP per second
KERNEL_SEC = 2e-6  # the least duration of a kernel, with the gap before the next one in a CUDA graph

# Optimisers treat many tensors in one kernel, within limits by the number of tensors per parameter
# (aten/src/ATen/native/cuda/MultiTensorApply.cuh, and kChunkSize of the optimisers).
TENSORS_PER_LAUNCH = {1: 110, 2: 64, 3: 48, 4: 36, 5: 30}
CHUNK_ELEMENTS, CHUNKS_PER_LAUNCH = 65536, 320

ALLOCATING = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "empty_permuted"}
RESHAPING = {"_unsafe_view", "as_strided_", "resize_", "set_", "squeeze_", "t_", "transpose_", "unsqueeze_"}
WAITING_TAGS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


class Cost(NamedTuple):
    """Cost of an operator."""

    kernels: int = 0
    moved_bytes: int = 0
    flop: int = 0
    sec: float = 0.0


def estimate(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], results: Any) -> Cost:
    """Return the cost of a call of an operator. Its tensors need only shapes."""
    if not computes(func):
        return Cost()
    read, written = tensors((args, kwargs)), tensors(results)
    moved = sum(map(_bytes, read)) + sum(map(_bytes, written))
    returned = {id(tensor) for tensor in written}
    moved += sum(_bytes(tensor) for tensor in _changed(func, args, kwargs) if id(tensor) not in returned)
    kernels, more_bytes, flop, _ = _special(name(func), args, kwargs, written)
    moved += more_bytes
    arithmetic_sec = flop / _peak(name(func), read, args) if flop else 0.0
    return Cost(kernels, moved, flop, max(kernels * KERNEL_SEC, moved / BANDWIDTH, arithmetic_sec))


@functools.cache
def name(func: OpOverload) -> str:
    """Return an operator's name without its overload: "add", or "hifigan.x" outside PyTorch's own namespace."""
    space, _, short = func._schema.name.partition("::")
    return short if space == "aten" else f"{space}.{short}"


@functools.cache
def computes(func: OpOverload) -> bool:
    """Return whether an operator does more than allocate memory, or look at memory in another shape."""
    is_view = any(result.alias_info is not None and not result.alias_info.is_write for result in func._schema.returns)
    return not is_view and name(func) not in ALLOCATING | RESHAPING and func.namespace != "prim"


def waits(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return whether an operator makes the CPU wait for values: a number, or the size of a result."""
    short = name(func)
    if short in ("index", "index_put", "index_put_"):  # waits if an index is a mask, unless a number is assigned
        masked = any(index.dtype in (torch.bool, torch.uint8) for index in tensors(args[1]))
        return masked and (short == "index" or args[2].numel() > 1)
    if short == "repeat_interleave":
        return kwargs.get("output_size") is None  # the number of results, if the caller knows it
    return bool(WAITING_TAGS & {*func.tags})


def _special(short: str, args: Sequence[Any], kwargs: Mapping[str, Any], results: Sequence[Tensor]) -> Cost:
    """Return kernels, bytes beyond inputs and results, and FLOP of an operator."""
    if short == "convolution":  # the bias is added by another kernel
        signal, weight, bias, transposed = *args[:3], args[6]
        flop = _convolution_flop(signal if transposed else results[0], weight)
        return Cost(1 + (bias is not None), 2 * _bytes(results[0]) * (bias is not None), flop)
    if short == "convolution_backward":  # one kernel for each gradient. That of the output is read by each.
        gradient, signal, weight, transposed, wanted = *args[:3], args[7], args[10]
        flop = _convolution_flop(signal if transposed else gradient, weight) * sum(wanted[:2])
        return Cost(sum(wanted), _bytes(gradient) * bool(wanted[1]), flop)
    if short in ("mm", "bmm", "mv", "dot"):
        return Cost(1, 0, 2 * results[0].numel() * args[0].shape[-1])
    if short in ("addmm", "baddbmm", "addmv"):
        return Cost(1, 0, 2 * results[0].numel() * args[1].shape[-1])
    if short == "hifigan.convolve_rows":  # weights [k * C, r * N] for each group of r rows of the results [B, R, N]
        rows, rate = results[0].shape[:2].numel(), args[8][3]
        return Cost(1, 0, 2 * args[1].numel() * rows // rate)
    if short == "hifigan.last_layer":  # weights [k, C] for each sample
        return Cost(1, 0, 2 * args[1].numel() * results[0].numel())
    if short.startswith("_fft"):
        points = math.prod(args[0].shape[dimension] for dimension in args[1])
        return Cost(2, 0, round(5 * max(args[0].numel(), results[0].numel()) * math.log2(points)))
    if short.startswith("_ctc_loss"):
        return Cost(2)
    if "_foreach" in short or short.startswith("_fused"):
        return Cost(_launches(args, kwargs, results))
    return Cost(1)


def _convolution_flop(positions: Tensor, weight: Tensor) -> int:
    """Return FLOP of a convolution, each of whose `positions` has a weight of every channel to sum over."""
    return 2 * positions.numel() * (weight.numel() // len(weight))


def _launches(args: Sequence[Any], kwargs: Mapping[str, Any], results: Sequence[Tensor]) -> int:
    """Return the kernels of an operator on lists of tensors."""
    lists = [value for value in (*args, *kwargs.values()) if isinstance(value, list | tuple) and tensors(value)]
    depth = len([tensors for tensors in lists if len(tensors) == len(lists[0])]) + bool(results)
    chunks = sum(math.ceil(tensor.numel() / CHUNK_ELEMENTS) for tensor in lists[0])
    return max(math.ceil(len(lists[0]) / TENSORS_PER_LAUNCH[min(depth, 5)]), math.ceil(chunks / CHUNKS_PER_LAUNCH))


def _changed(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[Tensor]:
    """Yield the tensors that an operator changes in place."""
    given = [*zip((a.name for a in func._schema.arguments), args, strict=False), *kwargs.items()]
    values = dict(given)
    for argument in func._schema.arguments:
        if argument.alias_info is not None and argument.alias_info.is_write:
            if argument.name == "grads" and values.get("grad_scale") is None:
                continue  # optimisers only write gradients that they unscale
            yield from tensors(values.get(argument.name))


def _peak(short: str, read: Sequence[Tensor], args: Sequence[Any]) -> float:
    """Return FLOP per second in the number format of an operator."""
    if next((t.element_size() for t in read if t.is_floating_point() and t.dim() > 0), 4) == 2:
        return TENSOR_CORES_16_BITS
    if short == "hifigan.convolve_rows":
        return {"ieee": CUDA_CORES_FP32, "tf32": TENSOR_CORES_TF32, "tf32x3": TENSOR_CORES_TF32 / 3}[args[-1]]
    of_convolutions, of_products = _tf32()
    return TENSOR_CORES_TF32 if (of_convolutions if "conv" in short else of_products) else CUDA_CORES_FP32


def _tf32() -> tuple[bool, bool]:
    """Return whether convolutions, and products of matrices, may use TF32."""
    if hasattr(precision, "tf32_allowed"):
        return precision.tf32_allowed()
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32  # in older checkouts


def tensors(values: Any) -> list[Tensor]:
    """Return all tensors in arguments or results of an operator."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, list | tuple):
        return []
    return [tensor for value in values for tensor in tensors(value)]


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
