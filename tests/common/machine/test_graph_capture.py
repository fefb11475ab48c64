"""Recording of CUDA graphs with a stand-in for PyTorch's: what is begun is ended, and failures give memory back."""

import gc

import pytest
import torch

from common.errors import InputError
from common.machine.graph_capture import CudaRecorder, recording
from tests.support.gpu.stand_in import Gpu

DEVICE = torch.device("cuda", 0)
SECOND = torch.device("cuda", 1)


@pytest.fixture
def gpu(request, monkeypatch):
    gpu = Gpu(*getattr(request, "param", (True,)))
    gpu.install(monkeypatch)
    return gpu


def record_and_fail(gpu, earlier=0):
    """Fail in the first graph, or after `earlier` ones."""
    with recording(DEVICE, "side") as made:
        for _ in range(earlier):
            made.end()
            made.begin()
        gpu.invalid = True
        raise ValueError("the step's own error")


@pytest.mark.parametrize("gpu", [(True,), (False,)], ids=["up to 2.11", "from 2.12"], indirect=True)
@pytest.mark.parametrize("earlier", [0, 2])
def test_a_failed_recording_leaves_nothing_behind(gpu, earlier):
    """Neither with the first graph nor with a later one."""
    with pytest.raises(ValueError, match="own error"):
        record_and_fail(gpu, earlier)
    assert (gpu.capturing, gpu.routed, gpu.stream) == (False, False, "usual")
    assert gpu.users == 1  # the pool object itself, which is gone
    gpu.empty_cache()


def test_older_versions_have_another_name(gpu, monkeypatch):
    monkeypatch.delattr(torch._C, "_cuda_endAllocateToPool")
    monkeypatch.setattr(torch._C, "_cuda_endAllocateCurrentStreamToPool", gpu.end_allocate, raising=False)
    with pytest.raises(ValueError, match="own error"):
        record_and_fail(gpu)
    assert (gpu.routed, gpu.users) == (False, 1)


@pytest.mark.parametrize("gpu", [(True, True)], indirect=True)
def test_what_cannot_be_mended_is_said(gpu):
    with pytest.raises(InputError, match="--no-cuda-graphs") as error:
        record_and_fail(gpu)
    assert "captures_underway" in str(error.value)
    assert "\n" not in str(error.value)


def test_exchanges_divide_a_recording(gpu):
    recorder = CudaRecorder(DEVICE)
    done = []

    def work():
        assert gpu.stream == "side"
        recorder.interrupt(lambda: done.append(len(gpu.replayed)))
        recorder.interrupt(lambda: done.append(len(gpu.replayed)))
        return "losses"

    replay, result = recorder.record(work)
    assert result == "losses"
    assert (gpu.capturing, gpu.routed, gpu.stream, done) == (False, False, "usual", [])
    replay()
    assert done == [1, 2]  # after the first graph, and after the second
    assert len(gpu.replayed) == 3


@pytest.mark.parametrize("gpu", [(True,), (False,)], ids=["up to 2.11", "from 2.12"], indirect=True)
def test_graphs_share_a_pool_of_their_gpu(gpu):
    recorder = CudaRecorder(SECOND, shares_memory=True)
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


@pytest.mark.parametrize("gpu", [(True,), (False,)], ids=["up to 2.11", "from 2.12"], indirect=True)
def test_a_failed_recording_leaves_the_others(gpu):
    recorder = CudaRecorder(SECOND, shares_memory=True)
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
