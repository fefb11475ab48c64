"""Stand-ins for what `torch.cuda` knows about a GPU and does with it: an H200, on which nothing runs."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from typing import Any

from benchmarks.gpu_simulation.counter import OperatorCounter, Tally

CAPABILITY = (9, 0)
MEMORY_BYTES = 141 * 10**9


def make_runtime(counter: OperatorCounter) -> dict[str, Any]:
    """Return attributes of `torch.cuda`. Those that wait for the GPU, record graphs and replay them are counted."""
    properties = types.SimpleNamespace(
        name="simulated H200", total_memory=MEMORY_BYTES, multi_processor_count=132, major=9, minor=0
    )
    stream = type("Stream", (SimulatedStream,), {"counter": counter})
    graph = type("CUDAGraph", (SimulatedGraph,), {"counter": counter})
    return {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": _nothing,
        "_exchange_device": lambda index: 0,  # of `torch.cuda.device`
        "_maybe_exchange_device": lambda index: 0,
        "get_device_name": lambda device=None: properties.name,
        "get_device_capability": lambda device=None: CAPABILITY,
        "get_device_properties": lambda device=None: properties,
        "is_bf16_supported": lambda including_emulation=True: True,
        "mem_get_info": lambda device=None: (MEMORY_BYTES - counter.live_bytes, MEMORY_BYTES),
        "memory_allocated": lambda device=None: counter.live_bytes,
        "manual_seed_all": _nothing,
        "empty_cache": _nothing,
        "synchronize": lambda device=None: counter.wait("synchronize"),
        "Stream": stream,
        "current_stream": stream,
        "set_stream": _nothing,
        "stream": lambda stream: contextlib.nullcontext(),
        "is_current_stream_capturing": lambda: counter.is_recording,
        "CUDAGraph": graph,
        "graph": _record,
        "graph_pool_handle": lambda: (0, 0),
        "MemPool": SimulatedPool,
    }


class SimulatedStream:
    """A stream of the GPU, on which everything has already happened."""

    counter: OperatorCounter

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        pass

    def wait_stream(self, stream: SimulatedStream) -> None:
        pass

    def synchronize(self) -> None:
        self.counter.wait("synchronize")


class SimulatedGraph:
    """A CUDA graph: the costs of what was recorded, which each replay adds again."""

    counter: OperatorCounter

    def __init__(self, keep_graph: bool = False) -> None:
        self._recorded = Tally()
        self._recording = contextlib.ExitStack()

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        self._recorded = self._recording.enter_context(self.counter.recording())

    def capture_end(self) -> None:
        self._recording.close()

    def replay(self) -> None:
        self.counter.replay(self._recorded)

    def reset(self) -> None:
        self._recorded = Tally()


class SimulatedPool:
    """A pool of memory for graphs. Graphs do not keep their memory here: see `OperatorCounter.recording`."""

    id = (0, 0)

    def use_count(self) -> int:
        return 1


@contextlib.contextmanager
def _record(graph: SimulatedGraph, *args: Any, **kwargs: Any) -> Iterator[None]:
    """Record a graph, as `torch.cuda.graph` does."""
    graph.capture_begin()
    try:
        yield
    finally:
        graph.capture_end()


def _nothing(*args: Any, **kwargs: Any) -> None:
    pass
