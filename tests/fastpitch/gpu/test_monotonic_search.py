"""The GPU's search, run in Python, against the search on the CPU: equal, whatever the scores."""

import itertools

import pytest
import torch

from fastpitch import alignment
from fastpitch.alignment import check_search
from tests.support.gpu.triton_compile import Kernel, compile_kernels

pytest.importorskip("triton")

from fastpitch.gpu import monotonic_search

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def assert_equal_to_the_cpu(scores, text_lens, mel_lens):
    lens = torch.tensor(text_lens), torch.tensor(mel_lens)
    found = monotonic_search.monotonic_durations(scores.to(DEVICE), *(values.to(DEVICE) for values in lens)).cpu()
    assert torch.equal(found, alignment._search_on_cpu(scores, *lens))
    assert found.sum(1).tolist() == mel_lens


def scores_of(kind, generator):
    """Scores [5, 31, 13]."""
    scores = torch.randn(5, 31, 13, generator=generator)
    if kind == "ties":
        return scores.round()
    if kind == "impossible":
        return scores.masked_fill(torch.rand(scores.shape, generator=generator) < 0.3, -torch.inf)
    if kind == "not numbers":
        return scores.masked_fill(torch.rand(scores.shape, generator=generator) < 0.02, torch.nan)
    return scores


@pytest.mark.medium
@pytest.mark.parametrize("kind", ["random", "ties", "impossible", "not numbers"])
def test_durations_equal_those_of_the_cpu(kind):
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        # The last items have fewer frames than symbols, one symbol, and one frame.
        assert_equal_to_the_cpu(scores_of(kind, generator), [13, 6, 13, 1, 7], [31, 20, 9, 31, 1])


@pytest.mark.medium
def test_all_small_sizes_with_ties():
    for frames, symbols in itertools.product((1, 2, 3, 4), (1, 2, 3)):
        paths = torch.arange(2 ** (frames * symbols))[:30, None] >> torch.arange(frames * symbols) & 1
        scores = -paths.float().view(-1, frames, symbols)
        assert_equal_to_the_cpu(scores, [symbols] * len(scores), [frames] * len(scores))


@pytest.mark.parametrize("symbols", [512, 2048])
def test_long_texts(symbols):
    scores = torch.randn(1, 9, symbols, generator=torch.Generator().manual_seed(0))
    assert monotonic_search.fits(scores)
    assert_equal_to_the_cpu(scores, [symbols], [9])


def test_longer_texts_do_not_fit():
    assert not monotonic_search.fits(torch.empty(1, 9, 2049, device="meta"))
    assert not monotonic_search.fits(torch.empty(1, 2**21, 1024, device="meta"))


def test_lengths_beyond_the_scores_read_and_write_nothing_else():
    durations = monotonic_search.monotonic_durations(
        torch.zeros(3, 4, 2, device=DEVICE),
        torch.tensor([0, 9, 2], device=DEVICE),
        torch.tensor([4, 99, 0], device=DEVICE),
    )
    assert durations.tolist() == [[4, 0], [3, 1], [0, 0]]


@pytest.mark.medium
def test_the_proof_notices_a_difference(monkeypatch):
    check_search(DEVICE)
    right = monotonic_search.monotonic_durations
    monkeypatch.setattr(monotonic_search, "monotonic_durations", lambda *given: right(*given).flip(1))
    with pytest.raises(ArithmeticError, match="it finds other durations"):
        check_search(DEVICE)


@pytest.mark.gpu
def test_durations_are_found_on_the_gpu():
    scores = torch.randn(16, 800, 150, device="cuda")
    lens = torch.full((16,), 150, device="cuda"), torch.full((16,), 800, device="cuda")
    expected = alignment._search_on_cpu(scores, *lens)
    alignment.monotonic_durations(scores, *lens)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = alignment.monotonic_durations(scores, *lens)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(found, expected)


@pytest.mark.slow
def test_the_kernel_compiles_without_spills():
    pointers = {"log_soft": "*fp32", "text_lens": "*i64:1", "mel_lens": "*i64:1", "durations": "*i64", "steps": "*i8"}
    arguments = {**pointers, "num_frames": "i32:1", "num_symbols": "i32:1"}
    costs = compile_kernels(
        [
            Kernel(
                monotonic_search.__name__,
                "search",
                {**arguments, "BLOCK": block},
                warps=monotonic_search.warps(block),
            )
            for block in (256, monotonic_search.MOST_SYMBOLS)
        ]
    )
    assert not any(cost.spilled_bytes for cost in costs)
    assert max(cost.shared_bytes for cost in costs) <= 48 * 1024
    assert all("cp.async" in cost.ptx for cost in costs)  # the next frames are read ahead
