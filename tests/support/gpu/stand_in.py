"""A stand-in for what PyTorch does with a GPU while CUDA graphs are recorded, as far as Python sees it."""

import contextlib
import types

import torch


class Stream(str):
    """A stream by its name."""

    def wait_stream(self, other):
        assert self != other


class Gpu:
    """State of the GPU and of PyTorch's allocator.

    Args:
        ends_badly: the version's `capture_end` raises before the allocator leaves the graph's pool, as up to 2.11.
        broken_for_good: memory can never be managed again.
    """

    def __init__(self, ends_badly, broken_for_good=False):
        self.ends_badly, self.broken_for_good = ends_badly, broken_for_good
        self.capturing = self.routed = False  # whether work is recorded, and memory comes from the pool
        self.invalid = False  # a forbidden operation happened meanwhile
        self.users = 0
        self.stream = Stream("usual")
        self.current = 0  # the current GPU
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

    def device(gpu):
        class Device:
            def __init__(self, device):
                self.index = torch.device(device).index

            def __enter__(self):
                self.index, gpu.current = gpu.current, self.index

            def __exit__(self, *error):
                gpu.current = self.index

        return Device

    def install(self, monkeypatch):
        """Take the place of PyTorch's functions."""
        for name, value in {
            "CUDAGraph": self.graph,
            "MemPool": self.pool,
            "device": self.device(),
            "Stream": lambda device: Stream("side"),
            "current_stream": lambda device=None: self.stream,
            "set_stream": lambda stream: setattr(self, "stream", stream),
            "stream": self.on_stream,
            "synchronize": lambda device: None,
            "empty_cache": self.empty_cache,
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", self.end_allocate, raising=False)
        monkeypatch.setattr(torch._C, "_cuda_releasePool", self.release, raising=False)
        monkeypatch.setattr(torch, "empty", lambda size, device: None)
