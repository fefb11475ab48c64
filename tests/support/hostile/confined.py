"""Run cases in a process with little memory and time, so that a hang or a flood of memory ends that process alone."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from common.errors import InputError
from tests.support.stress import record

LONGEST_SEC = 10  # of CPU time, so that other programs on the machine do not matter
MEMORY_BYTES = 2 << 30
MADE, REFUSED = "success", "refused in one line"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory")


def outcome(work: Callable[[], object]) -> str:
    """Return `MADE`, `REFUSED`, or what is wrong with a case."""
    try:
        work()
    except (InputError, OSError) as error:
        line = str(error)
        return REFUSED if line and "\n" not in line else f"not one line: {line!r}"
    except Exception as error:  # a case that must not be
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return MADE


def confined(work: Callable[[int], str], count: int, memory_bytes: int = MEMORY_BYTES) -> Iterator[tuple[int, str]]:
    """Yield the result of each case, and at last (-1, the largest memory in bytes beyond that at the start).

    Args:
        work: returns `outcome` of a case.
        count: number of cases, from 0.
        memory_bytes: address space for the process beyond what this one has.
    """
    start = peak = 0
    context = multiprocessing.get_context("fork")
    while start < count:
        results, sender = context.Pipe(duplex=False)
        child = context.Process(target=_work_through, args=(work, range(start, count), memory_bytes, sender))
        child.start()
        sender.close()
        began = start
        try:
            while True:
                number, result = results.recv()
                if number < 0:
                    peak = max(peak, int(result))
                elif result is None:
                    began = number
                else:
                    yield number, result
        except EOFError:
            child.join()
        if child.exitcode == 0:
            break
        ended = -(child.exitcode or 0)
        yield began, f"took more than {LONGEST_SEC} s" if ended == signal.SIGXCPU else f"ended by signal {ended}"
        start = began + 1
    yield -1, str(peak)


def _work_through(work: Callable[[int], str], numbers: range, memory_bytes: int, results: Connection) -> None:
    torch.set_num_threads(1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak of the parent, which ran other tests, does not count
    resident = _status_bytes("VmRSS")
    virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (virtual + memory_bytes, virtual + memory_bytes))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    for number in numbers:
        results.send((number, None))
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + LONGEST_SEC + 1, hard))
        signal.alarm(10 * LONGEST_SEC)  # waiting takes no CPU time
        result = work(number)
        signal.alarm(0)
        results.send((number, result))
    results.send((-1, str(_status_bytes("VmHWM") - resident)))


def _status_bytes(name: str) -> int:
    """Return a figure of this process's memory, as Linux reports it in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def all_plain(promise: str, results: Iterable[tuple[int, str]], both: bool = True) -> None:
    """Assert that each case succeeds or is refused in one line, and record it.

    Args:
        promise: for the record.
        results: from `confined`.
        both: some cases must succeed and some be refused, or the cases show little.
    """
    kinds: Counter[str] = Counter()
    wrong: list[tuple[int, str]] = []
    peak = 0
    for number, result in results:
        if number < 0:
            peak = int(result)
            continue
        kinds[result if result in (MADE, REFUSED) else "wrong"] += 1
        if result not in (MADE, REFUSED):
            wrong.append((number, result))
    total = sum(kinds.values())
    shown = ", ".join(f"{kinds[kind]:,} {kind}" for kind in (MADE, REFUSED, "wrong"))
    record(promise, total, f"{shown}, {peak / 2**20:.0f} MB of memory at most")
    print(f"\n{promise}: {total} cases: {shown}, peak {peak / 2**20:.0f} MB")
    assert not wrong, f"{len(wrong)} of {total}: {wrong[:10]}"
    assert peak < MEMORY_BYTES
    assert not both or len(kinds) == 2
