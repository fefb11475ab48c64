"""Run independent work on several threads of one process.

PyTorch's own threads synchronise after every operation, so that each operation waits for the slowest core. On a shared
machine, most of the time is spent waiting. Threads that take whole pieces of work synchronise once.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

T = TypeVar("T")


def for_each(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Run `work` on each item, on PyTorch's number of threads, in inference mode.

    With a single item or thread, `work` runs in the caller's thread and mode, and PyTorch's own threads stay in use.
    """
    items = list(items)
    threads = torch.get_num_threads()
    if threads == 1 or len(items) == 1:
        for item in items:
            work(item)
        return

    def run_alone(item: T) -> None:
        with torch.inference_mode():  # a setting of each thread
            work(item)

    for _ in _pool(threads, os.getpid()).map(run_alone, items):
        pass  # fetches each result, which raises errors


def share(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Run `work` on each item, on PyTorch's number of threads, of which the caller's is one.

    `work` must compute outside PyTorch, which would use its own threads in the caller's. A thread that has just
    computed keeps its core, whereas two threads that wake up at once may share one for milliseconds.
    """
    items = list(items)
    helpers = min(torch.get_num_threads(), len(items)) - 1
    remaining = iter(items)  # next() of a list's iterator is atomic

    def work_on_rest() -> None:
        for item in remaining:
            work(item)

    started = [_pool(torch.get_num_threads(), os.getpid()).submit(work_on_rest) for _ in range(helpers)]
    try:
        work_on_rest()
    finally:
        wait(started)
    for each in started:
        each.result()  # raises errors


@functools.lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return threads in which PyTorch runs single-threaded. A forked process needs its own, hence `process`."""
    ready = threading.Barrier(threads + 1)

    def prepare() -> None:
        torch.get_num_threads()  # the first call in a thread resets it to the global number
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(threads, "compute", initializer=prepare)
    for _ in range(threads):
        pool.submit(ready.wait)  # starts a new thread each time, because none is idle
    ready.wait()
    ready.wait()
    # Setting it in a thread also changed the number that later threads start with.
    torch.set_num_threads(threads)
    return pool
