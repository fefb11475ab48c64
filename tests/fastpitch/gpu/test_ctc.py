"""The GPU's CTC, run in Python, against PyTorch's in fp64, with gradients."""

import pytest
import torch
from torch.nn import functional as F

from fastpitch.losses import BLANK_LOGIT, alignment_loss, check_ctc
from tests.support.gpu.triton_compile import Kernel, compile_kernels

pytest.importorskip("triton")

from fastpitch.gpu import ctc
from fastpitch.gpu.monotonic_search import warps

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
FRAMES, SYMBOLS = 24, 9


def by_kernels(logits, text_lens, mel_lens):
    """Losses [B], and the gradient of their sum weighted by 1, 2, ..."""
    leaf = logits.to(DEVICE, copy=True).requires_grad_()
    losses = ctc.CTC.apply(leaf, text_lens.to(DEVICE), mel_lens.to(DEVICE), BLANK_LOGIT)
    (losses * torch.arange(1, len(losses) + 1, device=DEVICE)).sum().backward()
    return losses.detach().cpu(), leaf.grad.cpu()


def in_double(logits, text_lens, mel_lens):
    leaf = logits.double().requires_grad_()
    log_probs = F.pad(leaf, (1, 0), value=BLANK_LOGIT).log_softmax(2).transpose(0, 1)
    targets = torch.arange(1, logits.size(2) + 1).expand(len(logits), -1)
    losses = F.ctc_loss(log_probs, targets, mel_lens, text_lens, reduction="none", zero_infinity=True)
    (losses * torch.arange(1, len(losses) + 1)).sum().backward()
    return losses.detach(), leaf.grad


def random_logits(scale, text_lens):
    logits = scale * torch.randn(len(text_lens), FRAMES, SYMBOLS, generator=torch.Generator().manual_seed(0))
    return logits.masked_fill(torch.arange(SYMBOLS) >= text_lens[:, None, None], -1e4)  # as padding is given


@pytest.mark.medium
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_losses_and_gradients(scale):
    # Also as many frames as symbols, one frame and one symbol, and too few frames.
    text_lens, mel_lens = torch.tensor([9, 4, 9, 1, 1, 5]), torch.tensor([24, 20, 9, 1, 24, 4])
    logits = random_logits(scale, text_lens)
    losses, gradient = by_kernels(logits, text_lens, mel_lens)
    expected, expected_gradient = in_double(logits, text_lens, mel_lens)
    assert losses[5] == 0
    assert not gradient[5].any()
    assert losses[:5].all()
    torch.testing.assert_close(losses.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-4, atol=5e-4)
    for item, frames in enumerate(mel_lens.tolist()):
        assert not gradient[item, frames:].any()


@pytest.mark.medium
def test_long_texts():
    lens = torch.tensor([260]), torch.tensor([262])
    logits = torch.randn(1, 262, 260, generator=torch.Generator().manual_seed(0))
    losses, gradient = by_kernels(logits, *lens)
    expected, expected_gradient = in_double(logits, *lens)
    torch.testing.assert_close(losses.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-3, atol=1e-4)


def test_texts_that_do_not_fit():
    assert ctc.fits(torch.empty(1, 9, 2047, device="meta"))
    assert not ctc.fits(torch.empty(1, 9, 2048, device="meta"))
    assert not ctc.fits(torch.empty(1, 2**21, 1024, device="meta"))


@pytest.mark.medium
def test_the_proof_notices_a_difference(monkeypatch):
    check_ctc(DEVICE)
    right = ctc.CTC.apply
    monkeypatch.setattr(ctc.CTC, "apply", lambda *given: 1.01 * right(*given))
    with pytest.raises(AssertionError, match="not close"):
        check_ctc(DEVICE)


@pytest.mark.gpu
def test_the_alignment_loss_on_the_gpu_waits_for_nothing_and_repeats():
    text_lens, mel_lens = torch.tensor([9, 4, 9], device="cuda"), torch.tensor([24, 20, 9], device="cuda")
    logits = random_logits(3.0, text_lens.cpu()).cuda().requires_grad_()

    def gradient():
        return torch.autograd.grad(alignment_loss(logits, text_lens, mel_lens), logits)[0]

    first = gradient()  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        again = [gradient() for _ in range(5)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(other, first) for other in again)
    own = logits.detach().cpu().requires_grad_()
    alignment_loss(own, text_lens.cpu(), mel_lens.cpu()).backward()
    torch.testing.assert_close(first.cpu(), own.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_the_kernels_compile_without_spills():
    both = {"losses": "*fp32", "alphas": "*fp32", "log_probs": "*fp32", "text_lens": "*i64:1", "mel_lens": "*i64:1"}
    both |= {"num_frames": "i32:1", "num_classes": "i32:1"}
    arguments = {"forward": both, "backward": {**both, "gradients": "*fp32", "results": "*fp32"}}
    costs = compile_kernels(
        [
            Kernel(ctc.__name__, name, {**arguments[name], "BLOCK": block}, warps=warps(block))
            for name in arguments
            for block in (256, 2048)
        ]
    )
    assert not any(cost.spilled_bytes for cost in costs)
    assert max(cost.shared_bytes for cost in costs) <= 64 * 1024
