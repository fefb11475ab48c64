"""Run one function on many items in a pool of processes."""

from __future__ import annotations

import functools
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from tqdm import tqdm

from common.errors import InputError, by_remark, others_go_on
from common.machine.progress import watched
from common.machine.signals_and_streams import STOPPING, signals_wait

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")
CLEANING_SEC, SENDING_SEC = 10.0, 0.5  # for a worker that has to end


class Report(NamedTuple):
    """Outcome of one file: an error, a remark, or neither."""

    path: Path
    error: str = ""
    remark: str = ""


def map_in_processes(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    what: str,
    lost: Callable[[Item], Result] | None = None,
) -> Iterator[Result]:
    """Yield the results in order. Without `lost`, a single job runs in this process.

    Args:
        work: processes an item.
        items: the items.
        jobs: number of processes, as given by `--jobs`.
        what: name of the work on the progress bar and in the log.
        lost: returns the result of an item that ends its process, by a lack of memory or a defect of a decoder. The
            others go on.

    Raises:
        InputError: a process was killed, without `lost`.
    """
    jobs = min(jobs, len(items))
    if not items:
        return
    if not watched():
        log.info("%s: %d, in %s", what, len(items), "one process" if jobs == 1 else f"{jobs} processes")
    if lost is not None:
        yield from _map_with_lost(work, items, jobs, what, lost)
        return
    if jobs == 1:
        yield from _show_progress(map(work, items), len(items), what)
        return
    try:
        yield from _map_in_pool(work, items, jobs, what)
    except BrokenProcessPool as error:
        raise InputError("--jobs: a process was killed, probably for lack of memory; give fewer") from error


def run_over_files(
    work: Callable[[Any], Report], root: Path, items: Sequence[Path | tuple[Path, Path]], num_workers: int, what: str
) -> list[str]:
    """Process all files in child processes, even with one worker, and log the remarks.

    A file that ends its process, by a lack of memory or a defect of a decoder, is a problem like any other.

    Args:
        work: processes an item.
        root: the data set.
        items: files relative to `root`, or pairs of a file and its target.
        num_workers: number of processes.
        what: name of the work on the progress bar and in the log.

    Returns:
        The problems of unusable files, see `others_go_on`.
    """
    # Batches save messages between processes. Small ones keep all processes busy to the end.
    batch_size = min(8, max(1, len(items) // (4 * num_workers)))
    guarded = functools.partial(_report, work, root)
    reports = list(_map_with_lost(guarded, items, num_workers, what, functools.partial(_report_lost, root), batch_size))
    for line in by_remark((str(report.path), report.remark) for report in reports if report.remark):
        log.warning("%s", line)
    errors = [report.error for report in reports if report.error]
    log.info("%s: %d of %d files done", what, len(items) - len(errors), len(items))
    return errors


def describe_lost(path: Path) -> str:
    """Return the problem of a file that ended the process that worked on it."""
    problem = "ended the process that read it, perhaps for lack of memory; replace or cut it, or give fewer workers"
    return f"{path}: {problem}"


def _report_lost(root: Path, item: Path | tuple[Path, Path]) -> Report:
    path = _file(item)
    return Report(path, error=describe_lost(root / path))


def _map_with_lost(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    processes: int,
    what: str,
    lost: Callable[[Item], Result],
    batch_size: int = 1,
) -> Iterator[Result]:
    """Yield the results in order, from child processes. When one is killed, find out by which item."""
    done = 0
    while rest := items[done:]:
        workers = min(processes, len(rest))
        try:
            for result in _map_in_pool(work, rest, workers, what, batch_size):
                done += 1
                yield result
        except BrokenProcessPool:
            for item in items[done:][: workers * batch_size]:
                done += 1
                yield _run_alone(work, item, lost)


def _report(work: Callable[[Any], Report], root: Path, item: Path | tuple[Path, Path]) -> Report:
    path = _file(item)
    problems: list[str] = []
    with others_go_on(root / path, problems):
        return work(item)
    return Report(path, error=problems[0])


def _run_alone(work: Callable[[Item], Result], item: Item, lost: Callable[[Item], Result]) -> Result:
    try:
        return next(_map_in_pool(work, [item], 1, "", 1))
    except BrokenProcessPool:
        return lost(item)


def _file(item: Path | tuple[Path, Path]) -> Path:
    return item[0] if isinstance(item, tuple) else item


def _map_in_pool(
    work: Callable[[Item], Result], items: Sequence[Item], processes: int, what: str, batch_size: int = 1
) -> Iterator[Result]:
    # A forked process cannot use the GPU that its parent already uses. A fresh process takes seconds longer to start.
    context = multiprocessing.get_context("spawn") if torch.cuda.is_initialized() else None
    with ProcessPoolExecutor(processes, context, _start_worker) as pool:
        with signals_wait():
            results = pool.map(functools.partial(_work_until_stopped, work), items, chunksize=batch_size)
        try:
            yield from _show_progress(results, len(items), what)
        except BaseException:  # such as Ctrl-C: do not wait for items whose results nobody will see
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _show_progress(results: Iterable[Result], total: int, what: str) -> Iterable[Result]:
    return tqdm(results, what, total=total, disable=not (what and watched()))


class _Worker:
    """State of a worker process that SIGTERM may interrupt."""

    working = False


def _work_until_stopped(work: Callable[[Item], Result], item: Item) -> Result:
    _Worker.working = True
    try:
        return work(item)
    except SystemExit:  # its temporary files are removed now
        os._exit(128 + signal.SIGTERM)
    finally:
        _Worker.working = False


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets Ctrl-C too, and then sends SIGTERM
    signal.signal(signal.SIGTERM, _stop_working)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    torch.set_num_threads(1)  # the processes share the cores already
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _stop_working(number: int, frame: object) -> None:
    """End this process, but first let it remove its temporary files or send all of a result.

    Half a result would leave the parent waiting for the other half.
    """
    signal.setitimer(signal.ITIMER_REAL, CLEANING_SEC if _Worker.working else SENDING_SEC)  # SIGALRM then ends it
    if _Worker.working:
        raise SystemExit


def _end_with_parent() -> None:
    """End this process once its parent has ended, even by a signal. It would wait for more work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
