"""Work on several threads of one process, each of which computes alone.

PyTorch's own threads meet after every operation, so that each operation waits for the slowest core: on a machine that
is shared, that is most of the time. Threads that take whole pieces of work meet once.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def for_each(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Does `work` on each item, on as many threads as PyTorch would use for one operation, which are in inference mode.

    A single item, or a single thread, is dealt with by the caller's thread, in the caller's mode, and PyTorch's own.
    """
    items = list(items)
    threads = torch.get_num_threads()
    if threads == 1 or len(items) == 1:
        for item in items:
            work(item)
        return

    def alone(item: T) -> None:
        with torch.inference_mode():  # holds for one thread
            work(item)

    for _ in _pool(threads, os.getpid()).map(alone, items):
        pass  # asks for each result, so that errors are raised


@functools.lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads within which PyTorch uses no others; `process`, as those of a parent do not exist after a fork."""
    ready = threading.Barrier(threads + 1)

    def prepare() -> None:
        torch.get_num_threads()  # a thread's first question sets it to what all have
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(threads, "compute", initializer=prepare)
    for _ in range(threads):
        pool.submit(ready.wait)  # starts one thread each, as none is idle
    ready.wait()
    ready.wait()
    # What a thread sets is also what threads that start later begin with.
    torch.set_num_threads(threads)
    return pool
