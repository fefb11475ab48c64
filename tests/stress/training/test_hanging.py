"""One of two processes hangs: the other ends within the time given, and names it."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stress.training.nursery import Nursery
from tests.stress.training.runs import Run, check_equal
from tests.support.stress import cases, record

pytestmark = [pytest.mark.slow, pytest.mark.alone]

TIMEOUT_SEC = 20
# Place of the program and number of the arrival. The other process waits for gradients, a mean, a barrier or a message.
PLACES = (("generator step", 2), ("step", 1), ("save", 1), ("validation", 3), ("lock", 1), ("resume", 1), ("fsync", 5))


@pytest.mark.parametrize(("rank", "place"), [(r, p) for p in PLACES for r in (1, 0)][: cases(0, 14)])
def test_a_stopped_process_is_named(
    nursery: Nursery,
    data_set: Path,
    tmp_path: Path,
    undisturbed: Callable[..., Path],
    rank: int,
    place: tuple[str, int],
) -> None:
    run = Run(nursery, data_set, tmp_path / "out", 2, peer_timeout_sec=TIMEOUT_SEC)
    if place[0] == "resume":
        run.start(more=["--epochs-this-job", "2"])  # after an epoch that is validated anyway
        assert run.wait_all() == [0, 0]
    run.start("rank_at", rank=rank, place=place[0], call=place[1], number=signal.SIGSTOP)
    other = 1 - rank
    if rank == 1 and place[0] in ("save", "lock", "fsync"):
        run.wait_all()  # only the main process comes there
        return
    while not is_stopped(run.pids[rank]):
        assert run.poll(other) is None, run.text(other)
        time.sleep(0.05)
    began = time.monotonic()
    assert run.wait(other, seconds=3 * TIMEOUT_SEC + 60) == 1
    seconds = time.monotonic() - began
    text = run.text(other)
    assert "Traceback" not in text
    assert re.search(
        # Without torchrun, process 1 knows the others' numbers.
        rf"train\.py: error: process {rank + 1} of 2( \(pid {run.pids[rank]} on {re.escape(socket.gethostname())}\))"
        rf"{'?' * (rank == 0)} did not answer for {TIMEOUT_SEC} s, so all processes end\. Look there for ",
        text,
    ), text
    run.kill(rank)
    run.finish()
    check_equal(undisturbed(ranks=2), run.output)
    record(f"a hanging process is named ({place[0]}, rank {rank})", 1, f"after {seconds:.0f} s of {TIMEOUT_SEC} s")


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
