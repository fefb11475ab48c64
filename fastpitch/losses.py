"""Losses of FastPitch (arXiv:2006.06873, section 2.2) and its aligner (arXiv:2108.10447, section 3), fp32 scalars.

Shapes: B batch, S symbols, L mel frames, M mel bands. No loss counts padding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from common.machine import triton_kernels
from fastpitch.layers import length_mask
from fastpitch.length_regulator import frame_symbols
from fastpitch.model import TeacherForced

WEIGHTS = {"mel_loss": 1.0, "duration_loss": 0.1, "pitch_loss": 0.1, "energy_loss": 0.1, "alignment_loss": 1.0}
BLANK_LOGIT = -1.0
_IMPOSSIBLE = -1e4  # -inf would make the gradient of CTC NaN


def mel_loss(mel: Tensor, target: Tensor, mel_lens: Tensor) -> Tensor:
    """Mean squared error of mels [B, M, L], without padding frames."""
    mask = length_mask(mel_lens, target.size(2)).unsqueeze(1)
    errors = (mel.float() - target.float()).square().masked_fill(~mask, 0.0)
    return errors.sum() / (mel_lens.sum() * target.size(1))


def symbol_loss(predicted: Tensor, target: Tensor, text_lens: Tensor) -> Tensor:
    """Mean squared error of values per symbol [B, S], without padding symbols."""
    mask = length_mask(text_lens, target.size(1))
    return (predicted.float() - target.float()).square().masked_fill(~mask, 0.0).sum() / text_lens.sum()


def alignment_loss(logits: Tensor, text_lens: Tensor, mel_lens: Tensor) -> Tensor:
    """Negative ln of the probability of all monotonic paths, per symbol, mean over items (section 3.1, as CTC).

    Args:
        logits: logits [B, L, S] of the aligner, -inf at padding symbols. A blank of logit -1 precedes the first symbol.
        text_lens: [B].
        mel_lens: [B]. An item with fewer frames than symbols counts as 0.
    """
    finite = logits.float().clamp(min=_IMPOSSIBLE)
    if logits.is_cuda and triton_kernels.may_run(logits.device):
        from fastpitch.gpu import ctc  # imports Triton

        if ctc.fits(logits) and triton_kernels.proved("CTC", check_ctc, logits.device):
            return (ctc.CTC.apply(finite, text_lens, mel_lens, BLANK_LOGIT) / text_lens).mean()
    return _ctc(finite, text_lens, mel_lens)


def check_ctc(device: torch.device) -> None:
    """Compare CTC by the GPU's kernels with PyTorch's on the CPU. Raise `AssertionError` if they differ."""
    from fastpitch.gpu.ctc import CTC

    with torch.enable_grad():
        logits = torch.randn(3, 60, 40, generator=torch.Generator().manual_seed(0)) * 5
        lens = torch.tensor([40, 7, 40]), torch.tensor([60, 50, 20])  # the last has too few frames
        expected, found = logits.clone().requires_grad_(), logits.to(device).requires_grad_()
        loss = _ctc(expected, *lens)
        on_gpu = (CTC.apply(found, *(part.to(device) for part in lens), BLANK_LOGIT) / lens[0].to(device)).mean()
        (gradient,) = torch.autograd.grad(loss, expected)
        (found_gradient,) = torch.autograd.grad(on_gpu, found)
    torch.testing.assert_close(on_gpu.detach().cpu(), loss.detach(), rtol=1e-4, atol=0)
    torch.testing.assert_close(found_gradient.cpu(), gradient, rtol=1e-3, atol=1e-4)


def _ctc(logits: Tensor, text_lens: Tensor, mel_lens: Tensor) -> Tensor:
    """`alignment_loss` by PyTorch's CTC, for finite logits. On a GPU it waits for the lengths."""
    batch, _, num_symbols = logits.shape
    with_blank = F.pad(logits, (1, 0), value=BLANK_LOGIT)
    log_probs = F.log_softmax(with_blank, dim=2).transpose(0, 1)  # [L, B, S + 1]
    targets = torch.arange(1, num_symbols + 1, device=logits.device).expand(batch, -1)
    return F.ctc_loss(log_probs, targets, mel_lens, text_lens, blank=0, zero_infinity=True)


def binarization_loss(log_soft: Tensor, durations: Tensor, mel_lens: Tensor) -> Tensor:
    """Negative mean ln of the soft alignment [B, L, S] along the hard one, given as durations [B, S] (section 3.3)."""
    inside = length_mask(mel_lens, log_soft.size(1))
    symbols = frame_symbols(durations, log_soft.size(1)).clamp(max=log_soft.size(2) - 1)
    along = log_soft.float().gather(2, symbols.unsqueeze(2)).squeeze(2)
    return -along.masked_fill(~inside, 0.0).sum() / mel_lens.sum()


def fastpitch_losses(output: TeacherForced, mel: Tensor, binarization_weight: float = 0.0) -> dict[str, Tensor]:
    """Return "loss", the weighted sum that training minimises, and its unweighted parts.

    Logs, plots and TensorBoard follow these names: to add a loss, edit only this file.

    Args:
        output: of `FastPitch.teacher_forced`.
        mel: mels [B, M, L] of the recordings.
        binarization_weight: weight of the binarisation loss, which rises during training.
    """
    lens = output.text_lens
    parts = {
        "mel_loss": mel_loss(output.mel, mel, output.mel_lens),
        "duration_loss": symbol_loss(output.log_durations, torch.log1p(output.durations.float()), lens),
        "pitch_loss": symbol_loss(output.pitch.squeeze(1), output.pitch_target.squeeze(1), lens),
        "alignment_loss": alignment_loss(output.logits, lens, output.mel_lens),
    }
    if output.energy is not None and output.energy_target is not None:
        parts["energy_loss"] = symbol_loss(output.energy, output.energy_target, lens)
    total = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
    binarization = binarization_loss(output.log_soft, output.durations, output.mel_lens)
    return {"loss": total + binarization_weight * binarization, **parts, "binarization_loss": binarization}
