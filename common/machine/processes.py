"""Run one function on many items in a pool of processes."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from tqdm import tqdm

from common.errors import InputError, first_three
from common.progress import watched

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


class Report(NamedTuple):
    """Outcome of one file: an error, a remark, or neither."""

    path: Path
    error: str = ""
    remark: str = ""


def map_in_processes(work: Callable[[Item], Result], items: Sequence[Item], jobs: int, what: str) -> Iterator[Result]:
    """Yield the results in order. A single job runs in this process.

    Args:
        jobs: number of processes, as given by `--jobs`.
        what: name of the work on the progress bar and in the log.

    Raises:
        InputError: a process was killed.
    """
    jobs = min(jobs, len(items))
    if not items:
        return
    if not watched():
        log.info("%s: %d, in %s", what, len(items), "one process" if jobs == 1 else f"{jobs} processes")
    if jobs == 1:
        yield from _show_progress(map(work, items), len(items), what)
    else:
        yield from _map_in_pool(work, items, jobs, what, "--jobs")


def run_over_files(work: Callable[[Item], Report], items: Sequence[Item], num_workers: int, what: str) -> None:
    """Process all files in child processes, even with one worker, and log the remarks.

    Raises:
        InputError: some files could not be used (all others are done), or a process was killed.
    """
    # Batches save messages between processes. Small ones keep all processes busy to the end.
    batch_size = min(8, max(1, len(items) // (4 * num_workers)))
    workers = min(num_workers, len(items))
    reports = list(_map_in_pool(work, items, workers, what, "--n-workers", batch_size))
    for report in reports:
        if report.remark:
            log.warning("%s: %s", report.path, report.remark)
    errors = [report.error for report in reports if report.error]
    log.info("%s: %d of %d files done", what, len(items) - len(errors), len(items))
    if errors:
        raise InputError(f"{len(errors)} of {len(items)} files could not be used: {first_three(errors)}")


def _map_in_pool(
    work: Callable[[Item], Result], items: Sequence[Item], processes: int, what: str, flag: str, batch_size: int = 1
) -> Iterator[Result]:
    # A forked process cannot use the GPU that its parent already uses. A fresh process takes seconds longer to start.
    context = multiprocessing.get_context("spawn") if torch.cuda.is_initialized() else None
    try:
        with ProcessPoolExecutor(processes, context, _start_worker) as pool:
            yield from _show_progress(pool.map(work, items, chunksize=batch_size), len(items), what)
    except BrokenProcessPool as error:
        raise InputError(f"{flag}: a process was killed, probably for lack of memory; give fewer") from error


def _show_progress(results: Iterable[Result], total: int, what: str) -> Iterable[Result]:
    return tqdm(results, what, total=total, disable=not watched())


def _start_worker() -> None:
    torch.set_num_threads(1)  # the processes share the cores already
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process once its parent has ended, even by a signal. It would wait for more work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
