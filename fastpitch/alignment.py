"""Alignment of frames with symbols ("One TTS Alignment To Rule Them All", arXiv:2108.10447).

Shapes: B batch, S symbols, L mel frames, M mel bands, C channels. Used in training and teacher forcing only.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.machine import triton_kernels
from common.machine.precision import exact_format
from fastpitch.layers import ConvNorm, zero_padding

TEMPERATURE = 0.0005
PRIOR_FLOOR = 1e-8  # keeps the logarithm of the prior finite
_FRAME_GRID, _SYMBOL_GRID = 100, 20


def exact_prior(num_frames: int, num_symbols: int) -> np.ndarray:
    """Return the beta-binomial prior (section 3.2), float64 [L, S]. Each row sums to 1.

    Row i = 1..L has the probabilities of k = 0..S - 1 successes in S trials, with alpha = i, beta = L + 1 - i.
    """
    from scipy.stats import betabinom  # imported late, since it loads half of scipy

    frames = np.arange(1, num_frames + 1)[:, None]
    return betabinom.pmf(np.arange(num_symbols)[None], num_symbols, frames, num_frames + 1 - frames)


def interpolated_prior(num_frames: int, num_symbols: int) -> np.ndarray:
    """Return a prior [L, S] stretched linearly from a table of rounded size, as in the training of published aligners.

    The published table swaps frames and symbols, so that columns, not rows, sum to about 1.
    """
    from scipy.ndimage import zoom

    across = max(1, round((num_frames + 1) / _FRAME_GRID)) * _FRAME_GRID
    down = max(1, round((num_symbols + 1) / _SYMBOL_GRID)) * _SYMBOL_GRID
    prior = zoom(_table(across, down), (num_frames / across, num_symbols / down), order=1)
    assert prior.shape == (num_frames, num_symbols)
    return prior


@functools.lru_cache(maxsize=64)
def _table(across: int, down: int) -> np.ndarray:
    table = np.ascontiguousarray(exact_prior(down, across).T)
    table.flags.writeable = False  # shared by all callers
    return table


class ConvAttention(nn.Module):
    """Soft alignment of mel frames (queries) with symbol embeddings (keys) by distance (section 3.1)."""

    def __init__(self, num_mels: int, text_channels: int) -> None:
        super().__init__()
        self.query_proj = nn.Sequential(
            ConvNorm(num_mels, 2 * num_mels, 3, followed_by="relu"),
            nn.ReLU(),
            ConvNorm(2 * num_mels, num_mels, 1),
            nn.ReLU(),
            ConvNorm(num_mels, num_mels, 1),
        )
        self.attn_proj = nn.Conv2d(num_mels, 1, 1)  # unused, but present in every published file
        self.key_proj = nn.Sequential(
            ConvNorm(text_channels, 2 * text_channels, 3, followed_by="relu"),
            nn.ReLU(),
            ConvNorm(2 * text_channels, num_mels, 1),
        )

    @torch.jit.unused
    def forward(
        self, mel: Tensor, text: Tensor, mel_mask: Tensor, text_mask: Tensor, prior: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Align a batch.

        Args:
            mel: [B, M, L] log mel.
            text: [B, S, C] embeddings of the symbols, without positions.
            mel_mask: [B, L].
            text_mask: [B, S].
            prior: [B, L, S] probabilities, see `exact_prior` and `interpolated_prior`.

        Returns:
            log_soft: [B, L, S] logarithm of the soft alignment. exp(log_soft) sums to 1 over an item's own symbols.
            logits: [B, L, S] before the last softmax, for the alignment loss. Both are fp32, and -inf at padding
                symbols.
        """
        queries = self.query_proj(mel.masked_fill(~mel_mask.unsqueeze(1), 0.0))
        keys = self.key_proj(zero_padding(text, text_mask).transpose(1, 2))
        with torch.autocast(mel.device.type, enabled=False):
            q, k = queries.float(), keys.float()
            # ||q - k||^2 without a tensor [B, M, L, S].
            squares = q.square().sum(1).unsqueeze(2) + k.square().sum(1).unsqueeze(1)
            exact = exact_format(q.device)
            products = torch.bmm(q.transpose(1, 2).to(exact), k.to(exact)).float()
            logits = -TEMPERATURE * (squares - 2 * products)
            padding = ~text_mask.unsqueeze(1)
            # Also mask before the first softmax. Otherwise its sum would depend on the length of the padding.
            logits = logits.masked_fill(padding, -torch.inf)
            if prior is not None:
                logits = F.log_softmax(logits, dim=2) + torch.log(prior.float() + PRIOR_FLOOR)
            return F.log_softmax(logits, dim=2), logits


@torch.no_grad()
def monotonic_durations(log_soft: Tensor, text_lens: Tensor, mel_lens: Tensor) -> Tensor:
    """Find the most probable path that starts at the first symbol, ends at the last, and rises by 0 or 1 per frame.

    Viterbi search over frames (section 3.3). A tie goes to the path from the previous symbol. With fewer frames than
    symbols, the last symbols get one frame each.

    On GPUs that run Triton one kernel does it. PyTorch's operators would need several launches for each frame, so
    other GPUs leave it to the CPU and wait. The result is the same.

    Args:
        log_soft: [B, L, S] logarithm of the alignment.
        text_lens: [B] symbols of each item.
        mel_lens: [B] frames of each item.

    Returns:
        Frames per symbol, int64 [B, S], summing to `mel_lens`, on the device of `log_soft`.
    """
    if log_soft.is_cuda and triton_kernels.may_run(log_soft.device):
        from fastpitch.gpu import monotonic_search  # imports Triton

        if monotonic_search.fits(log_soft) and triton_kernels.proved("monotonic search", check_search, log_soft.device):
            return monotonic_search.monotonic_durations(log_soft, text_lens, mel_lens)
    return _search_on_cpu(log_soft, text_lens, mel_lens)


def check_search(device: torch.device) -> None:
    """Compare the search on a GPU with the search on the CPU. Raise `ArithmeticError` if they differ."""
    from fastpitch.gpu.monotonic_search import monotonic_durations as search_on_gpu

    scores = torch.randn(4, 70, 40, generator=torch.Generator().manual_seed(0))
    scores[1] = scores[1].round()  # ties
    scores[2, :, 5:] = -torch.inf  # padding
    given = scores, torch.tensor([40, 40, 5, 40]), torch.tensor([70, 60, 9, 20])
    found = search_on_gpu(*(part.to(device) for part in given))
    if not torch.equal(found.cpu(), _search_on_cpu(*given)):
        raise ArithmeticError("it finds other durations than the CPU")


def _search_on_cpu(log_soft: Tensor, text_lens: Tensor, mel_lens: Tensor) -> Tensor:
    """`monotonic_durations` for all items and symbols at once."""
    scores = np.ascontiguousarray(log_soft.detach().float().cpu().numpy().swapaxes(0, 1))  # [L, B, S]
    num_frames, batch, num_symbols = scores.shape
    last_frames = mel_lens.cpu().numpy() - 1
    from_previous = np.zeros((num_frames, batch, num_symbols), dtype=bool)
    best = np.full((batch, num_symbols + 1), -np.inf, dtype=np.float32)  # column 0 is before the first symbol
    best[:, 1] = scores[0, :, 0]
    for t in range(1, num_frames):
        stay, previous = best[:, 1:], best[:, :-1]
        np.greater_equal(previous, stay, out=from_previous[t])
        best[:, 1:] = np.maximum(stay, previous) + scores[t]
    from_previous[:, :, 0] = False  # the first symbol has no previous one, even if every path is impossible
    durations = np.zeros((batch, num_symbols), dtype=np.int64)
    items = np.arange(batch)
    symbol = text_lens.cpu().numpy() - 1
    for t in range(num_frames - 1, -1, -1):
        inside = t <= last_frames
        durations[items, symbol] += inside
        symbol = symbol - (from_previous[t, items, symbol] & inside)
    return torch.from_numpy(durations).to(log_soft.device)
