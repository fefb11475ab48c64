"""The simulated GPU's properties, and the order of recording and replaying. test_counter.py counts what they cost."""

import torch

from benchmarks.gpu_simulation.counter import OperatorCounter
from benchmarks.gpu_simulation.cuda_runtime import MEMORY_BYTES, make_runtime


def test_memory_in_use_is_not_free():
    counter = OperatorCounter()
    counter.live_bytes = 1000
    runtime = make_runtime(counter)
    assert runtime["mem_get_info"]() == (MEMORY_BYTES - 1000, MEMORY_BYTES)
    assert runtime["memory_allocated"]() == 1000


def test_waiting_for_a_stream_counts():
    counter = OperatorCounter()
    runtime = make_runtime(counter)
    runtime["Stream"]().wait_stream(runtime["current_stream"]())  # the GPU waits
    assert counter.tally.waits == []
    runtime["current_stream"](torch.device("cuda")).synchronize()
    runtime["synchronize"]()
    assert len(counter.tally.waits) == 2


def test_graphs_are_recorded_step_by_step_or_in_a_context():
    counter = OperatorCounter()
    runtime = make_runtime(counter)
    graph = runtime["CUDAGraph"]()
    for _ in range(2):
        graph.capture_begin(pool=runtime["MemPool"]().id)
        assert runtime["is_current_stream_capturing"]()
        graph.capture_end()
        assert not runtime["is_current_stream_capturing"]()
        graph.replay()
    with runtime["graph"](graph, pool=runtime["graph_pool_handle"]()):
        assert runtime["is_current_stream_capturing"]()
    graph.replay()
    assert counter.tally.launches == 3
