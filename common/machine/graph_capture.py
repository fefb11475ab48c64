"""Recording of CUDA graphs, so that a failed recording does no harm.

Up to PyTorch 2.11 a recording that fails leaves the memory allocator as it was in the middle of it: all further memory
comes from the graphs' pool, and freeing memory ends the process. Later versions still keep the pool's memory.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import torch

from common.errors import InputError, first_line

Result = TypeVar("Result")


class GraphRecording:
    """Graphs that are recorded one after the other and share the memory of one pool. Made by `recording`."""

    def __init__(self, device: torch.device, pool: torch.cuda.MemPool | None = None) -> None:
        self.graphs: list[torch.cuda.CUDAGraph] = []
        self._device = device
        self.pool = torch.cuda.MemPool() if pool is None else pool
        self._users = self.pool.use_count()  # the pool's object, and graphs of earlier recordings

    def begin(self) -> None:
        """Begin the next graph: from here on, the current stream's work is recorded instead of done."""
        self.graphs.append(torch.cuda.CUDAGraph())
        # "thread_local", since a loader's thread may allocate pinned memory meanwhile.
        self.graphs[-1].capture_begin(pool=self.pool.id, capture_error_mode="thread_local")  # type: ignore[arg-type]

    def end(self) -> None:
        """End the current graph."""
        self.graphs[-1].capture_end()

    def abandon(self) -> None:
        """Give the memory of a recording back that failed.

        Raises:
            InputError: PyTorch can no longer allocate or free memory in this process.
        """
        for graph in self.graphs:
            with contextlib.suppress(RuntimeError):
                graph.reset()
        self.graphs.clear()
        index, pool = torch.cuda._utils._get_device_index(self._device), self.pool
        with contextlib.suppress(RuntimeError):  # newer versions have done this
            _end_allocation()(index, pool.id)
        for _ in range(pool.use_count() - self._users):
            torch._C._cuda_releasePool(index, pool.id)
        del self.pool, pool
        gc.collect()
        try:
            torch.cuda.synchronize(self._device)
            torch.empty(1, device=self._device)
            torch.cuda.empty_cache()
        except RuntimeError as error:
            raise InputError(
                f"a CUDA graph could not be recorded, and PyTorch can no longer manage the GPU's memory "
                f"({first_line(error)}); start again without graphs (train.py: --no-cuda-graphs, inference.py: "
                "--backend eager)"
            ) from error


def _end_allocation() -> Callable[[int, Any], None]:
    """Return PyTorch's function that lets memory come from a pool no longer. Version 2.8 renamed it."""
    functions: Any = torch._C
    new_name = "_cuda_endAllocateToPool"
    return getattr(functions, new_name if hasattr(functions, new_name) else "_cuda_endAllocateCurrentStreamToPool")


@contextlib.contextmanager
def recording(
    device: torch.device, stream: torch.cuda.Stream, pool: torch.cuda.MemPool | None = None
) -> Iterator[GraphRecording]:
    """Record the work of this context on a stream, with memory of its own or of a pool that recordings share.

    Raises:
        InputError: recording failed, and PyTorch cannot recover from it in this process.
    """
    usual = torch.cuda.current_stream(device)
    torch.cuda.synchronize(device)
    gc.collect()
    torch.cuda.empty_cache()
    made = GraphRecording(device, pool)
    try:
        with torch.cuda.stream(stream):
            made.begin()
            try:
                yield made
            except BaseException:
                with contextlib.suppress(RuntimeError):  # it reports again why the recording failed
                    made.end()
                raise
            made.end()
    except BaseException:
        torch.cuda.set_stream(usual)  # a recording that failed may have left another stream set
        made.abandon()
        raise


class Recorder(Protocol):
    """Recorder of work on a device. On GPUs this is a `CudaRecorder`, in tests an emulator."""

    def warm_up(self, work: Callable[[], Result]) -> Result:
        """Do the work under the conditions of a recording."""

    def record(self, work: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        """Record the work. Return a function that repeats it, and its result, tensors that it changes each time."""

    def interrupt(self, exchange: Callable[[], None]) -> None:
        """Called by the work: do not record an exchange between processes, but repeat it at this place each time."""


class CudaRecorder:
    """Recorder of CUDA graphs on one GPU.

    Args:
        device: the GPU.
        shares_memory: all recordings share one pool of memory, so that a replay overwrites the results of the others.
            All must be replayed on one stream.
    """

    def __init__(self, device: torch.device, shares_memory: bool = False) -> None:
        self._device = device
        with torch.cuda.device(device):
            self._stream = torch.cuda.Stream(device)
            self._pool = torch.cuda.MemPool() if shares_memory else None
        self._recording: GraphRecording | None = None
        self._exchanges: list[Callable[[], None]] = []  # one after each graph but the last

    def warm_up(self, work: Callable[[], Result]) -> Result:
        """Do the work on the stream of the recordings. Libraries then choose and load their kernels."""
        with torch.cuda.device(self._device):
            usual = torch.cuda.current_stream()
            self._stream.wait_stream(usual)
            with torch.cuda.stream(self._stream):
                result = work()
            usual.wait_stream(self._stream)
        return result

    def record(self, work: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        """Record the work, which computes nothing yet.

        Raises:
            InputError: recording failed, and PyTorch cannot recover from it in this process.
        """
        self._exchanges = []
        with torch.cuda.device(self._device), recording(self._device, self._stream, self._pool) as made:
            self._recording = made
            result = work()
        self._recording = None
        return _Replay(made, self._exchanges), result

    def interrupt(self, exchange: Callable[[], None]) -> None:
        assert self._recording is not None
        self._recording.end()
        self._exchanges.append(exchange)
        self._recording.begin()


class _Replay:
    """Repeats recorded graphs, with exchanges between them."""

    def __init__(self, made: GraphRecording, exchanges: list[Callable[[], None]]) -> None:
        self._graphs = made.graphs
        self._exchanges = exchanges
        self._pool = made.pool

    def __call__(self) -> None:
        for number, graph in enumerate(self._graphs):
            if number:
                self._exchanges[number - 1]()
            graph.replay()

    def __del__(self) -> None:
        for graph in self._graphs:
            graph.reset()  # before the pool may go, since PyTorch 2.6 would end the process


class Exchanges:
    """Exchanges between processes in the middle of a step.

    They cannot be part of a graph: one process whose recording fails would leave the others waiting. While a step is
    recorded, they divide it into graphs, and take place between the graphs of each replay.
    """

    def __init__(self) -> None:
        self._recorder: Recorder | None = None

    def __call__(self, exchange: Callable[[], None]) -> None:
        """Make an exchange now, or between the graphs that are being recorded."""
        if self._recorder is None:
            exchange()
        else:
            self._recorder.interrupt(exchange)

    @contextlib.contextmanager
    def divide(self, recorder: Recorder) -> Iterator[None]:
        """Within this context, let exchanges divide what a recorder records."""
        self._recorder = recorder
        try:
            yield
        finally:
            self._recorder = None
