"""Bias, residual and leaky ReLU of convolutions in one kernel, for training on GPUs. See `activation_kernels`.

The convolutions are called without bias, and their outputs are overwritten. Nothing else is kept for the backward pass:
leaky ReLU keeps the sign, and can be inverted.

Each function returns one tensor for each use of its result. They share memory, but the backward pass receives the
gradient of each use and adds them in the kernel that it needs anyway. So use each of them once.

A "stream" carries a residual block's x from one sum to the next. Its memory holds leaky_relu(x), but its gradient is
that of x. Only the functions here can read it.

Shapes: N items, C channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hifigan.gpu import bias_sums
from hifigan.gpu.activation_kernels import OPERATORS

SLOPE = 0.1
Activations = tuple[Tensor, ...]
Streams = tuple[Tensor, ...]


def bias_leaky_relu(
    y: Tensor, bias: Tensor, slope: float = SLOPE, divisors: Tensor | None = None, uses: int = 1
) -> Activations:
    """Overwrite y [N, C, ...] with leaky_relu(y / divisor + bias).

    Args:
        y: output of a convolution without bias.
        bias: [C], in fp32. It may be expanded, see `bias_sums`.
        slope: positive. 1 means no activation.
        divisors: one for each of the signals that the batch holds one after the other, [signals] in fp32, or None.
        uses: number of equal tensors that are returned.
    """
    return _FinishedConvolution.apply(_Finish(slope, uses), y, bias, divisors)


def bias_branches(y: Tensor, bias: Tensor, branches: int) -> tuple[Activations, Streams]:
    """Begin parallel residual blocks: overwrite y [N, C, ...] with leaky_relu(x), x = y + bias.

    Returns:
        For each block its input and its stream.
    """
    results = _FinishedConvolution.apply(_Finish(SLOPE, branches, branches), y, bias, None)
    return results[:branches], results[branches:]


def bias_residual(y: Tensor, bias: Tensor, stream: Tensor) -> tuple[Tensor, Tensor]:
    """Continue a residual block: overwrite y [N, C, ...] with leaky_relu(x), x = y + bias + x of the stream.

    Returns:
        The next convolution's input, and the next stream.
    """
    return _FinishedConvolution.apply(_Finish(SLOPE, 1, 1, streams=1), y, bias, stream)


def mean_of_residuals(
    ys: Sequence[Tensor], biases: Sequence[Tensor], streams: Sequence[Tensor], slope: float, dtype: torch.dtype
) -> Tensor:
    """End parallel residual blocks: return leaky_relu(mean of all y + bias + x of the stream), [N, C, ...].

    Args:
        ys, biases, streams: of each block, see `bias_residual`.
        slope: of the activation.
        dtype: of the result.
    """
    finish = _Finish(slope, 1, streams=len(ys), dtype=dtype)
    (out,) = _FinishedConvolution.apply(finish, *ys, *biases, *streams)
    return out


@dataclasses.dataclass(frozen=True)
class _Finish:
    """Operations after convolutions.

    Attributes:
        slope: of leaky ReLU.
        activations: uses of the result.
        next_streams: streams that begin with the result.
        streams: streams that are added: none, or one for each convolution.
        dtype: of a new result, or None to overwrite the only convolution's.
    """

    slope: float
    activations: int
    next_streams: int = 0
    streams: int = 0
    dtype: torch.dtype | None = None


class _FinishedConvolution(torch.autograd.Function):
    """Takes the outputs of n convolutions, n biases, and n streams. If there are no streams, divisors or None."""

    @staticmethod
    def forward(ctx: Any, finish: _Finish, *tensors: Any) -> tuple[Tensor, ...]:
        count = max(1, finish.streams)
        biases = [bias[0] if bias.dim() == 2 else bias for bias in tensors[count : 2 * count]]
        divisors = None if finish.streams else tensors[2 * count]
        ys = [_dense(y) for y in tensors[:count]]
        streams = [_laid_out_as(ys[0], stream) for stream in tensors[2 * count :]] if finish.streams else []
        if finish.dtype is None:
            out = ys[0]
            OPERATORS.finish_convolution(out, biases[0], streams[0] if streams else None, divisors, finish.slope)
        else:
            ys = [_laid_out_as(ys[0], y) for y in ys]
            out = OPERATORS.finish_parallel_convolutions(ys, biases, streams, finish.slope, SLOPE, finish.dtype)
        ctx.finish, ctx.dtype, ctx.expanded = finish, ys[0].dtype, tensors[count].dim() == 2
        ctx.save_for_backward(out.detach(), biases[0], divisors)
        ctx.set_materialize_grads(False)
        return tuple(out.detach() for _ in range(finish.activations + finish.next_streams))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        out, bias, divisors = ctx.saved_tensors
        finish: _Finish = ctx.finish
        count = max(1, finish.streams)
        received = [None if grad is None else _laid_out_as(out, grad) for grad in grads]
        of_activations = [grad for grad in received[: finish.activations] if grad is not None]
        of_streams = [grad for grad in received[finish.activations :] if grad is not None]
        if not of_activations and not of_streams:
            return (None,) * len(ctx.needs_input_grad)
        needs_bias = any(ctx.needs_input_grad[1 + count : 1 + 2 * count])
        needs_divisors = divisors is not None and ctx.needs_input_grad[3]
        grad, sums = OPERATORS.finish_convolution_backward(
            of_activations,
            of_streams,
            out,
            bias,
            divisors,
            finish.slope,
            count,
            needs_bias or needs_divisors,
            ctx.dtype,
        )
        bias_grads: Sequence[Tensor | None] = [None] * count
        if needs_bias and ctx.expanded:
            bias_grads = [sums[0]] * count
        elif needs_bias:  # one tensor for each bias, because optimisers change gradients in place
            bias_grads = sums[:1].expand(count, -1, -1).sum(1).unbind()
        if finish.streams:
            return None, *[grad] * count, *bias_grads, *[grad] * count
        divisors_grad = sums[1].view(divisors.numel(), -1).sum(1) if needs_divisors else None
        return None, grad, *bias_grads, divisors_grad


def _dense(x: Tensor) -> Tensor:
    return x if x.is_contiguous() or x.movedim(1, -1).is_contiguous() else x.contiguous()


def _laid_out_as(model: Tensor, x: Tensor) -> Tensor:
    """Return `x` in the memory layout of `model`, which has the same shape."""
    return x if x.stride() == model.stride() else torch.empty_like(model, dtype=x.dtype).copy_(x)


def check(device: torch.device) -> None:
    """Compare two residual blocks of one convolution, with and without the kernels.

    Raises:
        AssertionError: their results differ.
    """
    bias_sums.check(device)
    generator = torch.Generator(device).manual_seed(0)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float16, 1e-2)):
        start, *ys = (torch.randn(4, 24, 77, device=device, generator=generator).to(dtype) for _ in range(3))
        biases = [torch.randn(24, device=device, generator=generator) for _ in range(3)]
        divisors = torch.rand(2, device=device, generator=generator) + 0.5
        results = []
        for compute in (_residuals, _plain_residuals):
            inputs = [tensor.clone().requires_grad_() for tensor in (start, *ys, *biases, divisors)]
            outputs = compute(*inputs)
            gradients = torch.autograd.grad([output.square().mean() for output in outputs], inputs)
            results.append([*outputs, *gradients])
        for fused, plain in zip(*results, strict=True):
            torch.testing.assert_close(fused.float(), plain.float(), rtol=tolerance, atol=tolerance)


def _residuals(
    start: Tensor, y1: Tensor, y2: Tensor, bias0: Tensor, bias1: Tensor, bias2: Tensor, divisors: Tensor
) -> tuple[Tensor, Tensor]:
    (a1, a2), streams = bias_branches(start + 0, bias0, 2)
    mean = mean_of_residuals([y1 * a1, y2 + a2], [bias1, bias2], streams, 0.01, torch.float32)
    (divided,) = bias_leaky_relu(y1 + y2, bias1, SLOPE, divisors)
    return mean, divided


def _plain_residuals(
    start: Tensor, y1: Tensor, y2: Tensor, bias0: Tensor, bias1: Tensor, bias2: Tensor, divisors: Tensor
) -> tuple[Tensor, Tensor]:
    x = start.float() + bias0[:, None]
    a = F.leaky_relu(x, SLOPE)
    total = (y1 * a + bias1[:, None] + x) + (y2 + a + bias2[:, None] + x)
    factors = divisors.repeat_interleave(len(y1) // len(divisors)).view(-1, 1, 1)
    return F.leaky_relu(total / 2, 0.01), F.leaky_relu((y1 + y2) / factors + bias1[:, None], SLOPE)
