"""Recording of CUDA graphs with a stand-in for PyTorch's: what is begun is ended, and failures give memory back."""

import contextlib
import types

import pytest
import torch

from common.errors import InputError
from common.machine.graph_capture import CudaRecorder, recording

DEVICE = torch.device("cuda", 0)


class Gpu:
    """What PyTorch does with one GPU while graphs are recorded, as far as it can be seen from Python.

    Args:
        ends_badly: the version's `capture_end` raises before the allocator leaves the graph's pool, as up to 2.11.
        broken_for_good: memory can never be managed again.
    """

    def __init__(self, ends_badly, broken_for_good=False):
        self.ends_badly, self.broken_for_good = ends_badly, broken_for_good
        self.capturing = self.routed = False  # whether work is recorded, and memory comes from the pool
        self.invalid = False  # a forbidden operation happened meanwhile
        self.users = 0
        self.stream = "usual"
        self.replayed = []

    def graph(gpu):
        class Graph:
            def capture_begin(self, pool, capture_error_mode):
                assert not gpu.capturing
                gpu.capturing = gpu.routed = True
                gpu.users += 1
                self.holds = True

            def capture_end(self):
                if not gpu.capturing:
                    raise RuntimeError("no capture")
                gpu.capturing = False
                if gpu.invalid:
                    gpu.routed = gpu.ends_badly
                    self.holds = not gpu.ends_badly
                    raise RuntimeError("operation failed due to a previous error during capture")
                gpu.routed = False

            def reset(self):
                if self.holds and not gpu.invalid:
                    self.holds, gpu.users = False, gpu.users - 1

            def replay(self):
                gpu.replayed.append(self)

        return Graph()

    def pool(gpu):
        gpu.users += 1
        return types.SimpleNamespace(id=(0, 1), use_count=lambda: gpu.users)

    def end_allocate(self, index, pool):
        if not self.routed:
            raise RuntimeError("not currently recording to this pool")
        self.routed = False

    def release(self, index, pool):
        self.users -= 1
        assert self.users >= 0

    def empty_cache(self):
        if self.routed or self.capturing or (self.broken_for_good and self.invalid):
            raise RuntimeError("captures_underway.empty() INTERNAL ASSERT FAILED\nmore")

    @contextlib.contextmanager
    def on_stream(self, stream):
        before, self.stream = self.stream, stream
        yield
        self.stream = before


@pytest.fixture
def gpu(request, monkeypatch):
    gpu = Gpu(*getattr(request, "param", (True,)))
    for name, value in {
        "CUDAGraph": gpu.graph,
        "MemPool": gpu.pool,
        "Stream": lambda device: "side",
        "current_stream": lambda device=None: gpu.stream,
        "set_stream": lambda stream: setattr(gpu, "stream", stream),
        "stream": gpu.on_stream,
        "synchronize": lambda device: None,
        "empty_cache": gpu.empty_cache,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", gpu.end_allocate, raising=False)
    monkeypatch.setattr(torch._C, "_cuda_releasePool", gpu.release, raising=False)
    monkeypatch.setattr(torch, "empty", lambda size, device: None)
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
