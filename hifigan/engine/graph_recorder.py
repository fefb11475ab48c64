"""Recorder of a vocoder's CUDA graphs, which share their memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch

from common.machine.graph_capture import recording, work_on
from hifigan.engine.transfers import on_device

Result = TypeVar("Result")


class BaseRecorder(Protocol):
    """Recorder of work on a device. On GPUs this is a `SharingRecorder`, in tests an emulator."""

    def warm_up(self, work: Callable[[], Result]) -> Result:
        """Do the work under the conditions of a recording."""

    def record(self, work: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        """Record the work. Return a function that repeats it, and its result, tensors that it changes each time."""


class SharingRecorder:
    """Recorder of CUDA graphs on one GPU, all with memory of one pool.

    A replay overwrites what graphs computed before it. All graphs must be replayed on one stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        with on_device(device):
            self._stream = torch.cuda.Stream(device)
            self._pool = torch.cuda.MemPool()

    def warm_up(self, work: Callable[[], Result]) -> Result:
        """Do the work on the stream of the recordings. Libraries then choose and load their kernels."""
        with on_device(self._device):
            return work_on(self._stream, work)

    def record(self, work: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        """Record the work, which computes nothing yet.

        Raises:
            InputError: recording failed, and PyTorch cannot recover from it in this process.
        """
        with on_device(self._device), recording(self._device, self._stream, self._pool) as made:
            result = work()
        return _Replay(made.graphs[0], self._pool), result


class _Replay:
    """A graph that gives its memory back before the pool may go: PyTorch 2.6 ends the process otherwise."""

    def __init__(self, graph: torch.cuda.CUDAGraph, pool: torch.cuda.MemPool) -> None:
        self._graph = graph
        self._pool = pool

    def __call__(self) -> None:
        self._graph.replay()

    def __del__(self) -> None:
        self._graph.reset()
