"""One function over many items, in processes, with its results in order."""

from __future__ import annotations

import functools
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from common.errors import InputError
from common.progress import watched

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


def mapped(work: Callable[[Item], Result], items: Sequence[Item], jobs: int, what: str) -> Iterator[Result]:
    """Results in order, from processes if there is more than one job.

    Raises:
        InputError: a process was killed.
    """
    bar: Any = functools.partial(tqdm, desc=what, total=len(items), disable=not watched())
    jobs = min(jobs, len(items))
    if not items:
        return
    if not watched():
        log.info("%s: %d, in %s", what, len(items), "one process" if jobs == 1 else f"{jobs} processes")
    if jobs == 1:
        yield from bar(map(work, items))
        return
    # A forked process cannot use the GPU that its parent uses already; a fresh one takes seconds longer to start.
    context = multiprocessing.get_context("spawn") if torch.cuda.is_initialized() else None
    try:
        with ProcessPoolExecutor(jobs, context, _one_thread) as pool:
            yield from bar(pool.map(work, items))
    except BrokenProcessPool as error:
        raise InputError("--jobs: a process was killed, probably for lack of memory; give fewer") from error


def _one_thread() -> None:
    torch.set_num_threads(1)  # the processes share the cores already
