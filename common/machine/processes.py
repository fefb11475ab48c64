"""One function over many files, in processes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from common.errors import InputError, first_three
from common.progress import watched

log = logging.getLogger(__name__)


class Report(NamedTuple):
    """What became of one file: a problem that stops, a remark, or neither."""

    path: Path
    error: str = ""
    remark: str = ""


def run_over_files(work: Callable, items: Sequence, num_workers: int, what: str) -> None:
    """Runs `work` over all items in processes; finishes all, then raises if some could not be used."""
    reports: list[Report] = []
    at_a_time = min(8, max(1, len(items) // (4 * num_workers)))  # few enough that all processes are busy to the end
    try:
        with ProcessPoolExecutor(min(num_workers, len(items)), initializer=_one_thread) as pool:
            results = pool.map(work, items, chunksize=at_a_time)
            reports.extend(tqdm(results, what, total=len(items), disable=not watched()))
    except BrokenProcessPool as error:
        raise InputError("--n-workers: a process was killed, probably for lack of memory; give fewer") from error
    for report in reports:
        if report.remark:
            log.warning("%s: %s", report.path, report.remark)
    errors = [report.error for report in reports if report.error]
    log.info("%s: %d of %d files done", what, len(items) - len(errors), len(items))
    if errors:
        raise InputError(f"{len(errors)} of {len(items)} files could not be used: {first_three(errors)}")


def _one_thread() -> None:
    torch.set_num_threads(1)  # the processes share the cores already
