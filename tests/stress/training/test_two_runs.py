"""Two runs started in one output directory: the second ends at once with a line that names the first."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.files.locks import LOCK_FILE
from tests.stress.training.nursery import Nursery
from tests.stress.training.runs import Run, check_equal
from tests.support.stress import FULL, cases, record

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.mark.parametrize("ranks", [1, 2][: cases(1, 2)])
def test_the_second_run_is_refused(
    nursery: Nursery, data_set: Path, tmp_path: Path, undisturbed: Callable[..., Path], ranks: int
) -> None:
    """At any time of the first one, which has two processes of which one holds the lock."""
    first, second = (Run(nursery, data_set, tmp_path / "out", ranks) for _ in range(2))
    first.start("stopped_after_first_step")
    while "| iter " not in first.text():
        assert first.poll() is None, first.text()
        time.sleep(0.01)
    second._texts = tmp_path  # the output of both would mix
    second.start()
    assert second.wait_all() == [1] * ranks
    assert re.search(
        rf"error: .*/out: process {first.pids[0]} on {re.escape(socket.gethostname())} \(since .*\) is at work there; "
        "wait until it ends, stop it, or give another --output",
        second.text(),
    ), second.text()
    os.kill(first.pids[0], signal.SIGCONT)
    assert first.wait_all() == [0] * ranks
    assert not (first.output / LOCK_FILE).exists()
    check_equal(undisturbed(ranks=ranks), first.output)
    record(f"a second run in one directory is refused ({ranks} process(es))", 1, "the first is unharmed, bit for bit")


def test_a_run_that_is_still_ending_is_waited_for(run: Run, undisturbed: Callable[..., Path]) -> None:
    """As after SIGTERM: it finishes its step and saves."""
    run.start()
    while "| iter " not in run.text():
        time.sleep(0.01)
    (first,) = run.pids
    os.kill(first, signal.SIGTERM)
    following = Run(run._nursery, Path(run.argv[run.argv.index("--dataset-path") + 1]), run.output)
    following._texts = run.output.with_name("texts")
    following._texts.mkdir()
    following.start()
    assert run.wait() == 128 + signal.SIGTERM
    assert following.wait() == 0, following.text()
    assert "resumed after" in following.text()
    check_equal(undisturbed(), run.output)


@pytest.mark.skipif(not FULL, reason="in full only, to save time")
def test_many_starts_at_once(
    nursery: Nursery, data_set: Path, tmp_path: Path, undisturbed: Callable[..., Path]
) -> None:
    """One trains, or another after it. None harms it."""
    count = cases(2, 6)
    runs = [Run(nursery, data_set, tmp_path / "out") for _ in range(count)]
    for number, run in enumerate(runs):
        run._texts = tmp_path / f"texts{number}"
        run._texts.mkdir()
        run.start()
    statuses = [run.wait() for run in runs]
    assert 0 in statuses
    for run, status in zip(runs, statuses, strict=True):
        assert status == 0 or "is at work there" in run.text(), run.text()
    check_equal(undisturbed(), runs[0].output)
    record(
        "several starts at once in one directory", count, f"{statuses.count(0)} ended with status 0, equal bit for bit"
    )
