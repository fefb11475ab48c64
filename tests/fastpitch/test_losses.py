"""Losses by hand, where the padding holds rubbish."""

import itertools
import math

import pytest
import torch

from fastpitch.losses import alignment_loss, binarization_loss, mel_loss, symbol_loss

NAN = float("nan")


def test_mean_squared_errors_leave_padding_out():
    mel = torch.tensor([[[1.0, 2.0, NAN]], [[4.0, 5.0, 6.0]]])
    target = torch.tensor([[[0.0, 0.0, NAN]], [[4.0, 4.0, 4.0]]])
    assert mel_loss(mel, target, torch.tensor([2, 3])).item() == pytest.approx((1 + 4 + 0 + 1 + 4) / 5)
    predicted = torch.tensor([[1.0, 2.0], [3.0, NAN]])
    assert symbol_loss(predicted, torch.zeros(2, 2), torch.tensor([2, 1])).item() == pytest.approx(14 / 3)


def probability_of_all_paths(logits):
    """Sums over every labelling of frames with blanks and symbols that collapses to all symbols in order."""
    frames, symbols = logits.shape
    with_blank = torch.cat([torch.full((frames, 1), -1.0), logits], dim=1).log_softmax(1).exp()
    total = 0.0
    for path in itertools.product(range(symbols + 1), repeat=frames):
        collapsed = [label for label, _ in itertools.groupby(path) if label]
        if collapsed == list(range(1, symbols + 1)):
            total += math.prod(with_blank[t, label].item() for t, label in enumerate(path))
    return total


def test_alignment_loss_sums_over_all_paths():
    logits = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    logits[1, :, 2:] = -torch.inf  # padding symbols
    logits.requires_grad_()
    text_lens, mel_lens = torch.tensor([3, 2]), torch.tensor([6, 4])
    loss = alignment_loss(logits, text_lens, mel_lens)
    expected = [-math.log(probability_of_all_paths(logits.detach()[0])) / 3]
    expected.append(-math.log(probability_of_all_paths(logits.detach()[1, :4, :2])) / 2)
    assert loss.item() == pytest.approx(sum(expected) / 2, rel=1e-5)
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    assert not logits.grad[1, 4:].any()


def test_alignment_of_too_few_frames_counts_as_nothing():
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    loss = alignment_loss(logits, torch.tensor([3]), torch.tensor([2]))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(logits.grad).all()


def test_binarization_follows_the_hard_path():
    soft = torch.tensor([[[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]]])
    loss = binarization_loss(soft.log(), torch.tensor([[1, 1]]), torch.tensor([2]))
    assert loss.item() == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
