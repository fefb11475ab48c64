"""CTC of texts with their frames as GPU kernels, for which the CPU does not wait. Shapes: B batch, L frames, S symbols.

PyTorch's own CTC copies the lengths from the GPU and back, and adds gradients in varying order. Here the labels of an
item are 1, 2 ... S, a blank precedes each and follows the last, and no two labels are alike, so a path may skip any
blank. One program follows the frames of one item (Graves et al. 2006, "Connectionist temporal classification", section
4.1), with the logarithms of the probabilities of all states in registers: of blank j, which follows label j, and of
label j, for j = 0 ... S.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from common.machine.triton_kernels import define_operator
from fastpitch.gpu.monotonic_search import MOST_SYMBOLS, warps

_NEVER = tl.constexpr(-1e30)  # logarithm of a probability of 0. Differences of infinities would be NaN.
_IMPOSSIBLE = tl.constexpr(-1e29)  # smaller ones are sums with _NEVER
_PREFETCHED_FRAMES = tl.constexpr(4)

# Batches of other shapes, and slices of lengths, use the same compiled kernels.
_COMPILE_ONCE = {
    "do_not_specialize": ["num_frames", "num_classes"],
    "do_not_specialize_on_alignment": ["text_lens", "mel_lens"],
}

_LIBRARY = torch.library.Library("fastpitch", "FRAGMENT")


@triton.jit
def _log_sum(a, b):
    """Return ln(exp(a) + exp(b))."""
    return tl.maximum(a, b) + tl.log(1.0 + tl.exp(-tl.abs(a - b)))


@triton.jit(**_COMPILE_ONCE)
def forward(log_probs, text_lens, mel_lens, losses, alphas, num_frames, num_classes, BLOCK: tl.constexpr):
    """Write -ln of the probability of all paths, and of all paths up to each frame that end there in label j."""
    item = tl.program_id(0).to(tl.int64)
    states = tl.arange(0, BLOCK)
    last = tl.load(text_lens + item).to(tl.int32)
    frames = tl.minimum(tl.load(mel_lens + item), num_frames).to(tl.int32)
    has_blank = states <= last
    has_label = has_blank & (states > 0)
    row = log_probs + item * num_frames * num_classes
    alpha_row = alphas + item * num_frames * num_classes + states
    label = tl.full((BLOCK,), _NEVER, tl.float32)
    either = tl.where(states == 0, 0.0, _NEVER)  # ln of the probability of label j or of the blank after it
    for t in tl.range(0, frames, num_stages=_PREFETCHED_FRAMES):
        own = tl.load(row + t * num_classes + states, mask=has_label, other=0.0)
        blank = tl.load(row + t * num_classes)
        before = tl.gather(either, tl.maximum(states - 1, 0), 0)
        label = tl.where(has_label, own + _log_sum(label, before), _NEVER)
        either = _log_sum(tl.where(has_blank, blank + either, _NEVER), label)
        tl.store(alpha_row + t * num_classes, label, mask=has_label)
    tl.store(losses + item, -tl.sum(tl.where(states == last, either, 0.0)))


@triton.jit(**_COMPILE_ONCE)
def backward(
    gradients, losses, alphas, log_probs, text_lens, mel_lens, results, num_frames, num_classes, BLOCK: tl.constexpr
):
    """Write the gradient of the losses by the logits of all classes but the blank, with zeros in the padding."""
    item = tl.program_id(0).to(tl.int64)
    states = tl.arange(0, BLOCK)
    last = tl.load(text_lens + item).to(tl.int32)
    frames = tl.minimum(tl.load(mel_lens + item), num_frames).to(tl.int32)
    loss = tl.load(losses + item)
    gradient = tl.load(gradients + item)
    possible = loss < -_IMPOSSIBLE
    has_blank = states <= last
    has_label = has_blank & (states > 0)
    is_class = (states > 0) & (states < num_classes)
    row = log_probs + item * num_frames * num_classes
    alpha_row = alphas + item * num_frames * num_classes + states
    result_row = results + item * num_frames * (num_classes - 1) + states - 1
    for t in range(frames, num_frames):
        tl.store(result_row + t * (num_classes - 1), tl.zeros((BLOCK,), tl.float32), mask=is_class)
    # ln of the probability of all paths from a state on, without the state's own frame.
    label = tl.where(states == last, 0.0, _NEVER)
    blank = label
    for back in tl.range(0, frames, num_stages=_PREFETCHED_FRAMES):
        t = frames - 1 - back
        own = tl.load(row + t * num_classes + states, mask=is_class, other=0.0)
        alpha = tl.load(alpha_row + t * num_classes, mask=has_label, other=_NEVER)
        occupied = tl.exp(alpha + label + loss)
        value = tl.where(possible, gradient * (tl.exp(own) - occupied), 0.0)
        tl.store(result_row + t * (num_classes - 1), value, mask=is_class)
        label = tl.where(has_label, label + own, _NEVER)
        following = tl.gather(label, tl.minimum(states + 1, BLOCK - 1), 0)
        following = tl.where(states < last, following, _NEVER)
        blank = _log_sum(blank + tl.load(row + t * num_classes), following)
        blank = tl.where(has_blank, blank, _NEVER)
        label = tl.where(has_label, _log_sum(label, blank), _NEVER)


def fits(logits: Tensor) -> bool:
    """Return whether the kernels can work with logits [B, L, S] of this size."""
    return logits.size(2) < MOST_SYMBOLS and logits.size(1) * (logits.size(2) + 1) < 2**31


class CTC(torch.autograd.Function):
    """Negative ln of the probability that the frames spell labels 1 ... S: logits [B, L, S] of these -> [B].

    A blank of a constant logit comes before them. An item with fewer frames than labels counts as 0, without gradient.
    Its arguments are the logits, which must be finite, text_lens [B], mel_lens [B] and the blank's logit.
    """

    @staticmethod
    def forward(ctx, logits: Tensor, text_lens: Tensor, mel_lens: Tensor, blank: float) -> Tensor:
        log_probs = F.log_softmax(F.pad(logits.float(), (1, 0), value=blank), dim=2)
        text_lens, mel_lens = text_lens.contiguous(), mel_lens.contiguous()
        losses, alphas = torch.ops.fastpitch.ctc(log_probs, text_lens, mel_lens)
        ctx.save_for_backward(losses, alphas, log_probs, text_lens, mel_lens)
        return torch.where(losses < -_IMPOSSIBLE.value, losses, 0.0)

    @staticmethod
    def backward(ctx, gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return torch.ops.fastpitch.ctc_backward(gradients.contiguous(), *ctx.saved_tensors), None, None, None


def _launch_forward(log_probs: Tensor, text_lens: Tensor, mel_lens: Tensor) -> tuple[Tensor, Tensor]:
    batch, num_frames, num_classes = log_probs.shape
    losses, alphas = _forward_shapes(log_probs, text_lens, mel_lens)
    block = max(256, triton.next_power_of_2(num_classes))
    forward[(batch,)](
        log_probs, text_lens, mel_lens, losses, alphas, num_frames, num_classes, block, num_warps=warps(block)
    )
    return losses, alphas


def _forward_shapes(log_probs: Tensor, text_lens: Tensor, mel_lens: Tensor) -> tuple[Tensor, Tensor]:
    return log_probs.new_empty(log_probs.size(0)), torch.empty_like(log_probs)


def _launch_backward(
    gradients: Tensor, losses: Tensor, alphas: Tensor, log_probs: Tensor, text_lens: Tensor, mel_lens: Tensor
) -> Tensor:
    batch, num_frames, num_classes = log_probs.shape
    results = _backward_shapes(gradients, losses, alphas, log_probs, text_lens, mel_lens)
    block = max(256, triton.next_power_of_2(num_classes))
    backward[(batch,)](
        gradients,
        losses,
        alphas,
        log_probs,
        text_lens,
        mel_lens,
        results,
        num_frames,
        num_classes,
        block,
        num_warps=warps(block),
    )
    return results


def _backward_shapes(
    gradients: Tensor, losses: Tensor, alphas: Tensor, log_probs: Tensor, text_lens: Tensor, mel_lens: Tensor
) -> Tensor:
    batch, num_frames, num_classes = log_probs.shape
    return log_probs.new_empty(batch, num_frames, num_classes - 1)


define_operator(
    _LIBRARY,
    "ctc(Tensor log_probs, Tensor text_lens, Tensor mel_lens) -> (Tensor losses, Tensor alphas)",
    _launch_forward,
    _forward_shapes,
)
define_operator(
    _LIBRARY,
    "ctc_backward(Tensor gradients, Tensor losses, Tensor alphas, Tensor log_probs, Tensor text_lens, Tensor mel_lens)"
    " -> Tensor",
    _launch_backward,
    _backward_shapes,
)
