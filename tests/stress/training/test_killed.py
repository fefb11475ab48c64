"""A training run that is killed repeatedly ends exactly like an undisturbed one.

Killed are a single process, one of two processes, a process that loads data, and torchrun's agent. With unmodified
`train.py` processes, which needs 5 GB of disk:

    python -m tests.stress.training.test_killed FOLDER --kills 20
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stress.training.nursery import Nursery
from tests.stress.training.runs import Run, check_equal
from tests.support.data_sets import write_data_set
from tests.support.paths import REPOSITORY
from tests.support.stress import FULL, cases, record
from tests.support.training import THIN

pytestmark = [pytest.mark.slow, pytest.mark.alone]

PHASES = ("start-up", "step", "save")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "0")


def test_a_process(nursery: Nursery, data_set: Path, tmp_path: Path) -> None:
    count = cases(3, 100)
    kills = kill_and_compare(nursery, data_set, tmp_path, count)
    assert not FULL or set(kills) == set(PHASES)
    record("training resumes after kill -9", sum(kills.values()), f"equal bit for bit; killed in {dict(kills)}")


@pytest.mark.skipif(not FULL, reason="in full only: 40 s; test_multi_node.py kills a process and an agent")
def test_one_process_of_two(nursery: Nursery, data_set: Path, tmp_path: Path) -> None:
    kills = kill_and_compare(nursery, data_set, tmp_path, cases(4, 100), ranks=2)
    record(
        "training resumes after kill -9 of one rank of two", sum(kills.values()), f"equal bit for bit; {dict(kills)}"
    )


def kill_and_compare(
    nursery: Any, data_set: Path, folder: Path, count: int, ranks: int = 1, seed: int = 0
) -> Counter[str]:
    """Kill a run `count` times, train to its end, and compare it with an undisturbed one. Count kills by phase."""
    changes = {"epochs": count + 4, "validation_interval": 1000}  # few processes get beyond one save
    whole, killed = (Run(nursery, data_set, folder / name, ranks, **changes) for name in ("undisturbed", "killed"))
    seconds = measure(whole)
    kills = kill_repeatedly(killed, seconds, count, random.Random(seed))
    killed.finish()
    check_equal(whole.output, killed.output, epochs=count + 4)
    assert sum(kills.values()) >= count * 3 // 4
    return kills


def phase(run: Run) -> str:
    """Return the phase the run is in, or was in when it was killed."""
    lines = [line for line in run.text().splitlines() if line.startswith("DLL ")]
    if not lines:
        return "start-up"
    return "save" if "| avg train |" in lines[-1] else "step"


def measure(run: Run) -> dict[str, float]:
    """Train to the end. Return the seconds of start-up, first step and first save. Later ones are faster."""
    began = time.perf_counter()
    run.start()
    seconds: dict[str, float] = {}
    current = "start-up"
    while (status := run.poll()) is None:
        if (now := phase(run)) != current:
            seconds.setdefault(current, time.perf_counter() - began)
            began, current = time.perf_counter(), now
        time.sleep(0.002)
    assert [status, *(run.wait(rank) for rank in range(1, run.ranks))] == [0] * run.ranks, run.text()
    return seconds


def kill_repeatedly(run: Run, seconds: dict[str, float], count: int, rng: random.Random) -> Counter[str]:
    """Start and kill a run repeatedly, until everything is trained. Count kills by phase."""
    kills: Counter[str] = Counter()
    for number in range(count):
        has_pair = any(run.output.glob("hifigan_discrim_checkpoint_*.pt"))
        target, part, rank = rng.choice(PHASES), rng.random(), rng.randrange(run.ranks)
        # A quarter of the kills may precede the first checkpoint. After that, one process survives until it is saved.
        waits = not has_pair and number >= count // 4
        run.start()
        while phase(run) != ("step" if waits else target) or (
            waits and not any(run.output.glob("hifigan_discrim_checkpoint_*.pt"))
        ):
            status = run.poll()
            if status == 0:
                run.wait_all()
                return kills
            assert status is None, run.text()
            time.sleep(0.002)
        time.sleep(part * seconds[target])
        status = run.kill(rank)
        assert status in (0, -signal.SIGKILL), run.text(rank)
        end_others(run, rank)
        if status == 0:
            return kills
        reached = phase(run)
        # The machine's speed varies. The longest delay converges to about 1.6 times the phase.
        seconds[target] *= 1.25 if reached == target else 0.7
        kills[reached] += 1
        texts = [run.text(other) for other in range(run.ranks)]
        assert not any("Traceback" in text for text in texts), texts
        assert "error" not in texts[rank] or run.ranks > 1, texts
        if reached != "start-up":
            assert ("resumed after epoch" in run.text()) == has_pair, run.text()
        if reached == "step":  # as if killed while writing this line of the log
            with (run.output / "nvlog.json").open("a") as log:
                log.write('DLLL {"timestamp": "17')
    return kills


def end_others(run: Run, killed: int) -> None:
    """Tell the other processes to stop, as torchrun does when it has lost one. They end by themselves."""
    for rank in set(range(run.ranks)) - {killed}:
        time.sleep(0.05)
        if run.poll(rank) is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.pids[rank], signal.SIGTERM)
            status = run.wait(rank, seconds=60)
            assert status in (0, 1, -signal.SIGTERM, 128 + signal.SIGTERM), (status, run.text(rank))


def test_a_process_that_loads_data(
    nursery: Nursery, data_set: Path, tmp_path: Path, undisturbed: Callable[..., Path]
) -> None:
    """Training ends with a line, and the main process at once."""
    count, rng, found = cases(1, 100), random.Random(1), Counter[str]()
    run = Run(nursery, data_set, tmp_path / "out", num_workers=2)
    kills = 0
    for number in range(count * 3):
        if kills == count:
            break
        if number % 4 == 3 or (run.output / "hifigan_gen_checkpoint_3.pt").exists():
            run.finish()
            check_equal(undisturbed(num_workers=2), run.output)
            run = Run(nursery, data_set, tmp_path / f"out{number}", num_workers=2)
        run.start()
        while not (loaders := children(run.pids[0])) and run.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.8)
        if not loaders:
            run.wait()
            continue
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(loaders), signal.SIGKILL)
        status, text = run.wait(seconds=60), run.text()
        errors = [line for line in text.splitlines() if "error:" in line]
        assert "Traceback" not in text, text
        assert status == len(errors), text  # it may have trained everything
        assert all("a process that loads audio was killed" in line for line in errors), text
        kills += status
        found["noticed" if errors else "no longer needed"] += 1
    run.finish()
    check_equal(undisturbed(num_workers=2), run.output)
    record("training resumes after kill -9 of a loader", kills, f"equal bit for bit; {dict(found)}")


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (OSError, ValueError):
        return []


@pytest.mark.skipif(not FULL, reason="in full only: 30 s for each kill; test_multi_node.py kills agents")
def test_the_agent_of_torchrun(
    data_set: Path, tmp_path: Path, undisturbed: Callable[..., Path], nursery: Nursery
) -> None:
    """Its processes save and end. Killed while they do so, or not, the next start goes on."""
    rng, count = random.Random(2), 10
    kills = 0
    while kills < count:
        run = Run(nursery, data_set, tmp_path / f"out{kills}", ranks=2)
        for _ in range(3):
            with (tmp_path / "text").open("w") as text:
                agent = subprocess.Popen(
                    [sys.executable, *TORCHRUN, *THIN, *run.argv],
                    cwd=REPOSITORY,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
                    stdout=text,
                    stderr=text,
                )
            target = rng.choice(("epoch    1", "epoch    2", "saved"))
            while target not in (tmp_path / "text").read_text() and agent.poll() is None:
                time.sleep(0.05)
            time.sleep(rng.random())
            workers = children(agent.pid)
            agent.kill()
            agent.wait()
            kills += 1
            deadline = time.monotonic() + 90
            while any(map(alive, workers)):
                assert time.monotonic() < deadline, "processes outlive torchrun's agent"
                time.sleep(0.1)
            assert "Traceback" not in (tmp_path / "text").read_text()
        run.finish()
        check_equal(undisturbed(ranks=2), run.output)
    record("training resumes after kill -9 of torchrun's agent", kills, "equal bit for bit; no process outlived it")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class PlainProcesses:
    """Starts `python train.py`, in place of `Nursery`."""

    def __init__(self) -> None:
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def ask(self, **question: Any) -> Any:
        if "wait" in question:
            process = self._running[question["wait"]]
            return process.wait() if question["block"] else process.poll()
        with Path(question["output"]).open("w") as file:
            started = subprocess.Popen([sys.executable, "train.py", *question["start"]], stdout=file, stderr=file)
        self._running[started.pid] = started
        return started.pid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    data_set = write_data_set(args.folder / "data" / "set", [0.3] * 4)
    (data_set / "val.txt").write_text("wavs/clip003.wav\n")
    print(kill_and_compare(PlainProcesses(), data_set, args.folder, args.kills, seed=args.seed))


if __name__ == "__main__":
    main()
