"""Graphs are recorded when a size comes again, serve smaller sizes, are few, and are harmless if they fail."""

import logging

import pytest
import torch

from hifigan.engine import graph_cache
from hifigan.engine.graph_cache import MAX_GRAPH_FRAMES, MAX_GRAPHS, GraphCache, Size, graph_size
from tests.support.gpu.graph_emulator import GraphEmulator


def work(mel, lengths):
    """Samples that depend on the length of each utterance, and are zero behind it."""
    exists = torch.arange(mel.size(2)) < lengths[:, None]
    return torch.where(exists, mel.sum(1) + lengths[:, None], 0.0)


class Work:
    """Counts the calls that run directly, which recordings do as well."""

    def __init__(self):
        self.sizes = []

    def __call__(self, mel, lengths):
        self.sizes.append((len(mel), mel.size(2)))
        return work(mel, lengths)


def batch(*lengths):
    generator = torch.Generator().manual_seed(sum(lengths))
    mel = torch.randn(len(lengths), 3, max(lengths), generator=generator)
    return mel, torch.tensor(lengths, dtype=torch.int32)


def run(cache, *lengths):
    mel, given = batch(*lengths)
    torch.testing.assert_close(cache(mel, given)[:, : mel.size(2)], work(mel, given))


@pytest.fixture
def recorder():
    return GraphEmulator()


def test_a_size_is_recorded_when_it_comes_again(recorder):
    calls = Work()
    cache = GraphCache(calls, recorder, masks_padding=False)
    run(cache, 40, 40)
    assert (calls.sizes, recorder.tapes) == ([(2, 40)], [])
    for _ in range(3):
        run(cache, 40, 40)
    assert len(recorder.tapes) == 1
    assert recorder.replays == 3
    assert calls.sizes == [(2, 40)] * 3, "once directly, in the warm-up and in the recording"
    run(cache, 41, 41)
    assert calls.sizes[3:] == [(2, 41)], "without masks, each size is its own"


def test_a_masked_graph_serves_smaller_sizes(recorder):
    calls = Work()
    cache = GraphCache(calls, recorder, masks_padding=True)
    run(cache, 100, 90)
    run(cache, 120, 7, 128)
    assert not recorder.tapes, "(2, 128) and (4, 128) are different"
    run(cache, 70, 100, 99)
    assert calls.sizes[2:] == [(4, 128)] * 2, "in the warm-up and in the recording"
    before = len(calls.sizes)
    for lengths in ((128, 128, 128, 128), (1, 125), (65, 100, 3), (120,), (33, 33, 33)):
        run(cache, *lengths)  # each as if alone, whatever the calls before have left
    assert len(calls.sizes) == before
    assert len(recorder.tapes) == 1


def test_a_graph_does_not_serve_what_is_much_smaller(recorder):
    calls = Work()
    cache = GraphCache(calls, recorder, masks_padding=True)
    for _ in range(2):
        run(cache, *[200] * 8)
    run(cache, 33)
    assert calls.sizes[-1] == (1, 33)


def test_sizes_of_graphs():
    assert graph_size(Size(1, 1)) == (1, 64)
    assert graph_size(Size(3, 64)) == (4, 64)
    assert graph_size(Size(1, 65)) == (1, 96)
    assert graph_size(Size(8, 96)) == (8, 96)
    assert graph_size(Size(9, 97)) == (16, 128)
    assert graph_size(Size(1, 693)) == (1, 768)
    for frames in range(1, 3000, 7):
        size = Size(5, frames)
        assert graph_size(size).holds(size)
        assert graph_size(size).frames <= max(64, 1.5 * frames)
    assert len({graph_size(Size(1, frames)) for frames in range(1, 4097)}) == 13


def test_the_least_recently_used_graph_is_dropped(recorder, monkeypatch):
    calls = Work()
    monkeypatch.setattr(graph_cache, "MAX_GRAPHS", 3)
    cache = GraphCache(calls, recorder, masks_padding=False)
    for frames in (1, 2, 3):
        run(cache, frames)
        run(cache, frames)
    run(cache, 1)
    run(cache, 4)
    run(cache, 4)
    before = len(calls.sizes)
    for frames in (1, 3, 4):
        run(cache, frames)
    assert len(calls.sizes) == before
    run(cache, 2)
    assert len(calls.sizes) > before
    assert MAX_GRAPHS >= 13, "all sizes of single utterances"


def test_large_batches_run_directly(recorder):
    cache = GraphCache(work, recorder, masks_padding=True)
    mel, lengths = torch.zeros(1, 3, MAX_GRAPH_FRAMES + 1), torch.tensor([5], dtype=torch.int32)
    for _ in range(3):
        cache(mel, lengths)
    assert not recorder.tapes


def test_a_failed_recording_is_named_once(recorder, caplog):
    def waits(mel, lengths):
        return mel.sum(1) * int(lengths.max())

    cache = GraphCache(waits, recorder, masks_padding=True)
    mel, lengths = batch(5, 7)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            torch.testing.assert_close(cache(mel, lengths), 7 * mel.sum(1))
    (record,) = caplog.records
    assert "without CUDA graphs" in record.getMessage()
    assert "capturing" in record.getMessage()
    assert recorder.replays == 0


def test_a_failure_drops_the_graphs_before(recorder, monkeypatch):
    cache = GraphCache(work, recorder, masks_padding=False)
    for _ in range(2):
        run(cache, 5)

    def fails(work):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(recorder, "record", fails)
    for _ in range(2):
        run(cache, 6)
    before = recorder.replays
    run(cache, 5)
    assert recorder.replays == before, "directly"
