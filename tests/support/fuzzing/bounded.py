"""Many cases in a process of their own, with limits on the time and memory of each."""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import multiprocessing
import os
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch

LONGEST_CPU_SEC = 10.0
LONGEST_SEC = 300.0  # on a busy machine; a wait for a pipe never ends
MEMORY_BYTES = 2 << 30  # what a case may allocate beyond the libraries
MOST_FAILURES = 20  # then the run ends


@dataclasses.dataclass
class Bounded:
    """Outcomes of the cases.

    Attributes:
        outcomes: number of cases by what they returned.
        failures: a few lines on each case that raised, hung, or ended the process.
        slowest_sec: the longest CPU time of one case.
        peak_mb: highest resident memory of the process, with all libraries.
    """

    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    failures: list[str] = dataclasses.field(default_factory=list)
    slowest_sec: float = 0.0
    peak_mb: float = 0.0

    def check(self) -> None:
        """Raise AssertionError if a case failed."""
        assert not self.failures, f"{len(self.failures)} failures:\n" + "\n".join(self.failures)

    def describe(self) -> str:
        """Return the figures for a table."""
        return f"0 failures, slowest {self.slowest_sec:.2f} s, peak {self.peak_mb:.0f} MB"


def run_bounded(case: Callable[[int], str], count: int, logs: Path, first: int = 0) -> Bounded:
    """Run `case(number)` for each number from `first` in a forked process, and go on behind one that ended it.

    Args:
        case: returns a word for the outcome. Whatever it raises is a failure.
        count: number of cases.
        logs: folder for the outputs of the process.
        first: the first number.
    """
    found = Bounded()
    number = first
    while number < first + count and len(found.failures) < MOST_FAILURES:
        number = _run_from(number, first + count, case, logs, found)
    return found


def _run_from(start: int, end: int, case: Callable[[int], str], logs: Path, found: Bounded) -> int:
    """Run cases until all are done or the process ends. Return the number of the next case."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    output = logs / f"cases_from_{start}.txt"
    output.touch()
    process = multiprocessing.get_context("fork").Process(target=_work, args=(start, end, case, output, sender))
    process.start()
    sender.close()
    number = start
    with contextlib.suppress(EOFError):
        while True:
            number, outcome, failure, seconds, peak_mb = receiver.recv()
            found.slowest_sec, found.peak_mb = max(found.slowest_sec, seconds), max(found.peak_mb, peak_mb)
            found.outcomes[outcome] += 1
            if failure:
                found.failures.append(f"case {number}: {failure}")
            number += 1
            if len(found.failures) >= MOST_FAILURES:
                process.kill()
    process.join()
    if number < end and len(found.failures) < MOST_FAILURES:
        last = "\n".join(output.read_text(errors="replace").splitlines()[-30:])
        found.failures.append(f"case {number}: ended the process (status {process.exitcode}):\n{last}")
    return number + 1


def _work(start: int, end: int, case: Callable[[int], str], output: Path, sender: Connection) -> None:
    torch.set_num_threads(1)  # the threads that PyTorch started before the fork are not in this process
    with output.open("w", buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        sys.stdout = sys.stderr = log
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.RLIM_INFINITY))
        for number in range(start, end):
            faulthandler.dump_traceback_later(LONGEST_SEC, exit=True, file=log)
            begin, outcome, failure = time.process_time(), "failed", ""
            try:
                outcome = case(number)
            except BaseException:
                failure = traceback.format_exc(limit=-8)[-3000:]
            faulthandler.cancel_dump_traceback_later()
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            seconds = time.process_time() - begin
            if seconds > LONGEST_CPU_SEC:
                failure = failure or f"took {seconds:.1f} s of CPU time"
            sender.send((number, outcome, failure, seconds, peak_mb))
            log.seek(0)
            log.truncate()
    os._exit(0)


def check_message(message: str) -> None:
    """Raise AssertionError unless this is one line that a terminal can show."""
    assert message.isprintable(), repr(message[:500])
    assert 0 < len(message) < 1500, f"{len(message)} characters: {message[:500]}"
