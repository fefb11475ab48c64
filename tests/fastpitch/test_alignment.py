"""Monotonic search against a plain reference, and the priors."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.stats import betabinom

from fastpitch.alignment import TEMPERATURE, ConvAttention, exact_prior, interpolated_prior, monotonic_durations
from tests.support.paths import REPOSITORY


def plain_search(scores):
    """Cell by cell: the best path, ties from the previous symbol, frames per symbol."""
    num_frames, num_symbols = scores.shape
    best = [[-np.inf] * num_symbols for _ in range(num_frames)]
    best[0][0] = scores[0, 0]
    for t in range(1, num_frames):
        for s in range(num_symbols):
            before = max(best[t - 1][s], best[t - 1][s - 1] if s else -np.inf)
            best[t][s] = before + scores[t, s]
    symbol = num_symbols - 1
    durations = [0] * num_symbols
    for t in range(num_frames - 1, -1, -1):
        durations[symbol] += 1
        if t and symbol and best[t - 1][symbol - 1] >= best[t - 1][symbol]:
            symbol -= 1
    return durations


@pytest.mark.parametrize("seed", range(20))
def test_search_equals_the_plain_reference_also_with_ties(seed):
    rng = np.random.default_rng(seed)
    text_lens = rng.integers(1, 12, 5)
    mel_lens = text_lens + rng.integers(0, 25, 5)
    # Few different values: most cells have ties somewhere on their way.
    scores = rng.integers(-3, 0, (5, mel_lens.max() + 2, text_lens.max() + 3)).astype(np.float32)
    found = monotonic_durations(torch.from_numpy(scores), torch.from_numpy(text_lens), torch.from_numpy(mel_lens))
    for i, (symbols, frames) in enumerate(zip(text_lens, mel_lens, strict=True)):
        assert found[i, :symbols].tolist() == plain_search(scores[i, :frames, :symbols])
        assert not found[i, symbols:].any()
        assert (found[i, :symbols] > 0).all()


def test_equal_scores_go_back_to_the_previous_symbol_at_once():
    durations = monotonic_durations(torch.zeros(1, 6, 3), torch.tensor([3]), torch.tensor([6]))
    assert durations.tolist() == [[4, 1, 1]]


def test_padding_symbols_change_nothing():
    scores = torch.randn(1, 9, 4, generator=torch.Generator().manual_seed(0))
    lens = torch.tensor([4]), torch.tensor([9])
    expected = monotonic_durations(scores, *lens)
    padded = torch.nn.functional.pad(scores, (0, 2, 0, 3), value=-torch.inf)
    assert monotonic_durations(padded, *lens).tolist() == [expected[0].tolist() + [0, 0]]


def test_fewer_frames_than_symbols():
    durations = monotonic_durations(torch.randn(2, 5, 6), torch.tensor([6, 6]), torch.tensor([3, 5]))
    assert durations.tolist() == [[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 1]]


def test_impossible_scores_still_give_every_frame_a_symbol():
    durations = monotonic_durations(torch.full((1, 6, 3), -torch.inf), torch.tensor([3]), torch.tensor([6]))
    assert durations.tolist() == [[4, 1, 1]]


def test_exact_prior_is_the_beta_binomial():
    prior = exact_prior(30, 7)
    expected = [betabinom(7, i, 31 - i).pmf(np.arange(7)) for i in range(1, 31)]
    np.testing.assert_allclose(prior, expected, rtol=1e-12)


@pytest.mark.parametrize(("frames", "symbols"), [(1, 1), (5, 3), (100, 20), (149, 29), (1001, 163)])
def test_interpolated_prior_has_every_size(frames, symbols):
    prior = interpolated_prior(frames, symbols)
    assert prior.shape == (frames, symbols)
    assert np.isfinite(prior).all()
    assert (prior >= 0).all()
    prior[:] = 0  # nobody else's
    assert interpolated_prior(frames, symbols).any()


def test_soft_alignment_is_a_distribution_over_an_items_own_symbols():
    torch.manual_seed(0)
    aligner = ConvAttention(4, 6).eval()
    mask = torch.tensor([[True, True, True], [True, False, False]])
    mel_mask = torch.ones(2, 5, dtype=torch.bool)
    with torch.no_grad():
        log_soft, logits = aligner(torch.randn(2, 4, 5), torch.randn(2, 3, 6), mel_mask, mask)
    torch.testing.assert_close(log_soft.exp().sum(2), torch.ones(2, 5))
    assert (log_soft[1, :, 0] == 0).all()
    assert torch.isinf(logits[1, :, 1:]).all()


def test_distances_are_what_the_definition_says():
    torch.manual_seed(0)
    aligner = ConvAttention(4, 6).eval()
    mel, text = torch.randn(1, 4, 5) * 20, torch.randn(1, 3, 6) * 20
    with torch.no_grad():
        queries, keys = aligner.query_proj(mel), aligner.key_proj(text.transpose(1, 2))
        expected = -0.0005 * (queries.unsqueeze(3) - keys.unsqueeze(2)).square().sum(1)
        ones = torch.ones(1, 5, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)
        _, logits = aligner(mel, text, *ones)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.medium
def test_importing_the_package_leaves_the_slow_libraries_alone():
    code = "import sys, fastpitch; print(*{'scipy', 'numba', 'librosa'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_distances_are_exact_whatever_products_are_allowed(matmul_precision):
    """Near the diagonal, large squares cancel. Shortened factors would leave noise there."""
    torch.manual_seed(0)
    attention = ConvAttention(80, 384).eval()
    attention.query_proj, attention.key_proj = torch.nn.Identity(), torch.nn.Identity()
    mel = 30 * torch.randn(2, 80, 50)
    text = mel.transpose(1, 2)[:, :40] + 0.1 * torch.randn(2, 40, 80)
    whole = torch.ones(2, 50, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        _, logits = attention(mel, text, whole, whole[:, :40])
    distances = torch.cdist(mel.double().transpose(1, 2), text.double()).square()
    torch.testing.assert_close(logits.double(), -TEMPERATURE * distances, rtol=0, atol=1e-4 * TEMPERATURE * 900)
