"""Graphs of a vocoder share a pool and a stream, belong to their GPU, and give memory back, also after failures."""

import gc

import pytest
import torch

from hifigan.engine.graph_recorder import SharingRecorder
from tests.support.gpu.stand_in import Gpu

SECOND = torch.device("cuda", 1)


@pytest.fixture(params=[True, False], ids=["up to 2.11", "from 2.12"])
def gpu(request, monkeypatch):
    gpu = Gpu(request.param)
    gpu.install(monkeypatch)
    return gpu


def test_graphs_share_a_pool_of_their_gpu(gpu):
    recorder = SharingRecorder(SECOND)
    places = []

    def work():
        places.append((gpu.stream, gpu.current, gpu.capturing))
        return "wav"

    assert recorder.warm_up(work) == "wav"
    (first, wav), (second, _) = recorder.record(work), recorder.record(work)
    assert places == [("side", 1, False), ("side", 1, True), ("side", 1, True)]
    assert (wav, gpu.stream, gpu.current, gpu.capturing) == ("wav", "usual", 0, False)
    assert gpu.users == 3  # the pool's object and two graphs
    first()
    second()
    first()
    assert len(gpu.replayed) == 3
    del first
    assert gpu.users == 2, "a graph that is dropped gives its memory back, the other keeps it"


def test_a_failed_recording_leaves_the_others(gpu):
    recorder = SharingRecorder(SECOND)
    first, _ = recorder.record(lambda: "wav")

    def fails():
        gpu.invalid = True
        raise ValueError("waits for the GPU")

    with pytest.raises(ValueError, match="waits for the GPU"):
        recorder.record(fails)
    gc.collect()
    assert (gpu.capturing, gpu.routed, gpu.stream, gpu.current) == (False, False, "usual", 0)
    assert gpu.users == 2  # the pool's object and the first graph
    first()
    gpu.empty_cache()
