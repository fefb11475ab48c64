"""Monotonic search of `fastpitch.alignment` as one GPU kernel. Shapes: B batch, L mel frames, S symbols.

Frames follow each other, so one program searches one item. It keeps the best score of each symbol in registers, writes
for each frame where the best path to each symbol came from, and then walks back. The CPU does not wait for anything.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from common.machine.triton_kernels import define_operator

MOST_SYMBOLS = 2048  # 8 a thread
_PREFETCHED_FRAMES = tl.constexpr(4)

_LIBRARY = torch.library.Library("fastpitch", "FRAGMENT")


@triton.jit(do_not_specialize=["num_frames", "num_symbols"], do_not_specialize_on_alignment=["text_lens", "mel_lens"])
def search(log_soft, text_lens, mel_lens, durations, steps, num_frames, num_symbols, BLOCK: tl.constexpr):
    item = tl.program_id(0).to(tl.int64)
    symbols = tl.arange(0, BLOCK)
    inside = symbols < num_symbols
    first = symbols == 0
    frames = tl.minimum(tl.load(mel_lens + item), num_frames).to(tl.int32)
    scores = log_soft + item * num_frames * num_symbols + symbols
    item_steps = steps + item * num_frames * num_symbols
    best = tl.load(scores, mask=first, other=float("-inf"))
    for t in tl.range(1, frames, num_stages=_PREFETCHED_FRAMES):
        previous = tl.gather(best, tl.maximum(symbols - 1, 0), 0)
        previous = tl.where(first, float("-inf"), previous)
        from_previous = (previous >= best) & (symbols > 0)  # even if every path to the first symbol is impossible
        tl.store(item_steps + t * num_symbols + symbols, from_previous.to(tl.int8), mask=inside)
        best = tl.maximum(best, previous, propagate_nan=tl.PropagateNan.ALL)
        best += tl.load(scores + t * num_symbols, mask=inside, other=float("-inf"))
    tl.debug_barrier()  # the walk reads what other threads wrote
    symbol = tl.minimum(tl.maximum(tl.load(text_lens + item), 1), num_symbols).to(tl.int32) - 1
    counts = tl.zeros((BLOCK,), tl.int64)
    for back in range(0, frames):
        t = frames - 1 - back
        counts += (symbols == symbol).to(tl.int64)
        symbol -= tl.load(item_steps + t * num_symbols + symbol, mask=t > 0, other=0).to(tl.int32)
    tl.store(durations + item * num_symbols + symbols, counts, mask=inside)


def fits(log_soft: Tensor) -> bool:
    """Return whether the kernel can search scores of this size."""
    return log_soft.size(2) <= MOST_SYMBOLS and log_soft.size(1) * log_soft.size(2) < 2**31


def monotonic_durations(log_soft: Tensor, text_lens: Tensor, mel_lens: Tensor) -> Tensor:
    """Return frames per symbol as `fastpitch.alignment.monotonic_durations`, on the GPU."""
    scores = log_soft.detach().float().contiguous()
    return torch.ops.fastpitch.monotonic_search(scores, text_lens.contiguous(), mel_lens.contiguous())[0]


def _launch(log_soft: Tensor, text_lens: Tensor, mel_lens: Tensor) -> tuple[Tensor, Tensor]:
    batch, num_frames, num_symbols = log_soft.shape
    durations, steps = _shapes(log_soft, text_lens, mel_lens)
    block = max(256, triton.next_power_of_2(num_symbols))  # few different ones, since each is compiled
    search[(batch,)](
        log_soft, text_lens, mel_lens, durations, steps, num_frames, num_symbols, block, num_warps=warps(block)
    )
    return durations, steps


def warps(block: int) -> int:
    """Return the warps of a program for a block of symbols: few, since they wait for each other at every frame."""
    return min(8, block // 64)


def _shapes(log_soft: Tensor, text_lens: Tensor, mel_lens: Tensor) -> tuple[Tensor, Tensor]:
    batch, _, num_symbols = log_soft.shape
    return log_soft.new_empty(batch, num_symbols, dtype=torch.int64), torch.empty_like(log_soft, dtype=torch.int8)


define_operator(
    _LIBRARY,
    "monotonic_search(Tensor log_soft, Tensor text_lens, Tensor mel_lens) -> (Tensor durations, Tensor steps)",
    _launch,
    _shapes,
)
