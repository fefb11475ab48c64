"""SIGTERM and SIGHUP at any place of the program, and a clock that is set back."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stress.training.runs import Run, check_equal
from tests.support.paths import REPOSITORY
from tests.support.stress import cases, record

pytestmark = [pytest.mark.slow, pytest.mark.alone]

stopped, set_clocks = itertools.count(1), itertools.count(1)  # cases that passed, for the record
YEAR_SEC = 365 * 24 * 3600.0
# Place of the program, and number of the arrival there.
PLACES = (
    ("validation", 4), ("save", 2), ("validation", 1), ("rename", 1), ("rename", 2), ("fsync", 3), ("step", 2),
    ("generator step", 3), ("log", 1), ("log", 4), ("save", 5), ("rename", 3), ("fsync", 1), ("unlink", 1),
    ("unlink", 3), ("check", 1), ("lock", 1), ("validation", 6),
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES[: cases(1, 18)])
def test_stopped_by_a_signal(run: Run, undisturbed: Callable[..., Path], place: tuple[str, int]) -> None:
    """Once training has begun, the step is finished and saved. Before that, the program ends."""
    number = signal.SIGHUP if place == PLACES[0] else signal.SIGTERM
    before = place in (("check", 1), ("lock", 1))
    error = run.disturbed("at", place=place[0], call=place[1], number=number, status=None, lines=int(before))
    ended = "epoch    3 | val |" in run.text()  # the signal came in the last save
    assert run.text().count(" - stopped ") == (not before and not ended), run.text() + error
    assert before or ended or f"signal {number}; start again" in run.text() or "nothing to save" in run.text()
    run.finish()
    check_equal(undisturbed(), run.output)
    record("SIGTERM or SIGHUP at a place of training", next(stopped), "saved, status 128 + signal, equal bit for bit")


@pytest.mark.parametrize("place", [("load", 1), ("load", 2), ("resume", 1), ("unlink", 1), ("log", 1)][: cases(0, 5)])
def test_stopped_while_resuming(run: Run, undisturbed: Callable[..., Path], place: tuple[str, int]) -> None:
    run.start(more=["--epochs-this-job", "2"])
    assert run.wait() == 0
    (run.output / ".hifigan_gen_checkpoint_4.pt.tmp").write_bytes(b"left")
    run.disturbed("at", place=place[0], call=place[1], number=signal.SIGTERM, status=None, lines=1)
    run.finish()
    check_equal(undisturbed(), run.output)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM][: cases(1, 2)])
def test_stopped_while_importing(run: Run, number: signal.Signals) -> None:
    """At several moments of a start that takes seconds. A line is printed, and nothing written."""
    delays = [0.3, 0.0, 0.6, 1.0, 1.5, 2.0, 2.5][: cases(1, 7)]
    for delay in delays:
        process = subprocess.Popen(
            [sys.executable, "train.py", *run.argv],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text():
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
        assert process.returncode in (-number, 128 + number), error
        assert "Traceback" not in error, (delay, error)
        assert not run.output.exists() or not list(run.output.glob("*.pt"))
    record(f"{number.name} while train.py is starting", len(delays), "no traceback, nothing written")


@pytest.mark.parametrize(
    ("seconds", "call"), [(-YEAR_SEC, 40), (-3600.0, 5), (YEAR_SEC, 40), (-1.7e9, 60)][: cases(1, 4)]
)
def test_the_clock_is_set(run: Run, undisturbed: Callable[..., Path], seconds: float, call: int) -> None:
    """In a run, and files have times in the future when it resumes."""
    run.start("clock", seconds=seconds, call=call, more=["--epochs-this-job", "2"])
    assert run.wait() == 0, run.text()
    for i, path in enumerate(sorted(run.output.glob("*.pt"))):
        os.utime(path, (time.time() + YEAR_SEC / (i + 1),) * 2)  # the older, the later
    run.finish()
    check_equal(undisturbed(), run.output)
    record(
        "the clock is set back or forward in training", next(set_clocks), "equal bit for bit, logs in order of steps"
    )
