"""Record CUDA graphs that share memory, and leave PyTorch usable if a recording fails.

A recording that fails midway, for example because an operator waits for the GPU, ends with an error of CUDA. PyTorch
then skips its own end of the recording: the recording's stream stays the current one, and all later allocations are
treated as part of a recording.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol, TypeVar

import torch

Results = TypeVar("Results")


class Recorder(Protocol):
    """Recorder of work on a device. On GPUs this is a `GraphRecorder`, in tests an emulator."""

    def warm_up(self, work: Callable[[], Results]) -> Results:
        """Do the work under the conditions of a recording."""

    def record(self, work: Callable[[], Results]) -> tuple[Callable[[], None], Results]:
        """Record the work. Return a function that repeats it, and the tensors that receive its results each time."""


def on_device(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Make a GPU the current one: kernels, streams and events of the context then belong to it. CPUs need nothing."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


class GraphRecorder:
    """Recorder of CUDA graphs on one GPU.

    Its graphs share their memory, so that only the results of the latest replay are valid. They must be replayed on
    one stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        with on_device(device):
            self._stream = torch.cuda.Stream(device)
            self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Callable[[], Results]) -> Results:
        """Do the work on the stream of the recordings. Libraries then choose and load their kernels."""
        with on_device(self._device):
            usual = torch.cuda.current_stream()
            self._stream.wait_stream(usual)
            with torch.cuda.stream(self._stream):
                results = work()
            usual.wait_stream(self._stream)
        return results

    def record(self, work: Callable[[], Results]) -> tuple[Callable[[], None], Results]:
        """Record the work, which computes nothing yet."""
        with on_device(self._device):
            usual = torch.cuda.current_stream()
            graph = torch.cuda.CUDAGraph()
            try:
                # "thread_local", since another thread may allocate pinned memory meanwhile.
                recording = torch.cuda.graph(
                    graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
                )
                with recording:
                    results = work()
            except BaseException:
                self._end_failed_recording()
                raise
            finally:
                torch.cuda.set_stream(usual)

        def replay() -> None:
            with on_device(self._device):
                graph.replay()

        return replay, results

    def _end_failed_recording(self) -> None:
        """Do the steps that PyTorch skips. Later recordings get a new pool and a new stream."""
        pool, self._pool = self._pool, torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(self._device)
        index = self._device.index if self._device.index is not None else torch.cuda.current_device()
        end = getattr(torch._C, "_cuda_endAllocateToPool", None)
        release = getattr(torch._C, "_cuda_releasePool", None)
        if end is None or release is None:
            return
        with contextlib.suppress(RuntimeError):  # raised if PyTorch itself has ended it
            end(index, pool)
            release(index, pool)
