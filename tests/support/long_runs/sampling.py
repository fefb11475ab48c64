"""Run a program for a long time, sample its resources from outside, and judge whether they grow.

The program runs unchanged in a process of its own. All figures are sums over this process and its children:

* memory: `Pss_Anon` and `Pss_Shmem` of /proc, which exclude the code of libraries. Pages of two processes count half in
  each.
* open files, threads and processes, files in its folder for temporary files, and segments of /dev/shm that bear the
  number of one of its processes.
* processor time, which other programs disturb less than the clock.

Slopes are Theil-Sen estimates, the median over all pairs of samples: single peaks, such as in validation and
saves, do not move them.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import theilslopes

from tests.support.paths import REPOSITORY
from tests.support.stress import FULL, record

PROC = Path("/proc")
MOST_SAMPLES = 400  # Theil-Sen compares all pairs
TICKS_PER_SEC = os.sysconf("SC_CLK_TCK") if sys.platform == "linux" else 100
FEW_ITERATIONS = 200  # work of different sizes hides whether fewer become slower
FULL_ONLY = pytest.mark.skipif(not FULL, reason="CI runs others like it; scripts/stress.sh runs all")
COUNTS = ("files", "threads", "processes", "temporary", "shared")


class Usage(NamedTuple):
    """Resources in use after `done` iterations."""

    done: int
    memory_mb: float
    files: int
    threads: int
    processes: int
    temporary: int
    shared: int
    cpu_sec: float


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Growth that is allowed after the warm-up.

    Attributes:
        memory_mb: per 1,000 iterations. Choose it by measurement, well below what a leak of 10 kB per iteration causes.
        noise_mb: of the whole run. The allocator's high-water mark rises with each rarer combination of sizes, so that
            a short run grows by some MB, whatever it does.
        slowdown: processor time per iteration in the second half, relative to the first. Neighbours on the same core
            slow a process down by up to 1.6, and work of different sizes adds to this.
        temporary: files in the folder for temporary files, per 1,000 iterations.
    """

    memory_mb: float = 4.0
    noise_mb: float = 12.0
    slowdown: float = 2.5
    temporary: float = 0.0


class Soak(NamedTuple):
    """Samples of a run, and the most memory that its first process had, in MB."""

    samples: list[Usage]
    peak_mb: float
    seconds: float


class Trend(NamedTuple):
    """Growth after the warm-up: per 1,000 iterations, of the memory also in the whole run."""

    memory_mb: float
    memory_in_all_mb: float
    counts: dict[str, float]
    slowdown: float
    iterations: int

    def faults(self, bounds: Bounds) -> list[str]:
        """Return what grows, in words."""
        found = []
        if self.memory_mb > bounds.memory_mb and self.memory_in_all_mb > bounds.noise_mb:
            found.append(f"memory grows by {self.memory_mb:.2f} MB per 1,000 iterations")
        for name, slope in self.counts.items():
            allowed = bounds.temporary if name == "temporary" else 0.0
            if (slope - allowed) * self.iterations / 1000 >= 1:
                found.append(f"{name} grow by {slope:.2f} per 1,000 iterations")
        if self.iterations >= FEW_ITERATIONS and self.slowdown > bounds.slowdown:
            found.append(f"an iteration takes {self.slowdown:.2f} times as long in the second half as in the first")
        return found

    def describe(self) -> str:
        """Return the figures for the table of results."""
        counts = ", ".join(f"{name} {slope:+.2f}" for name, slope in self.counts.items())
        return f"{self.memory_mb:+.2f} MB, {counts} per 1,000; second half {self.slowdown:.2f} x the first's time"


def watch(
    words: Sequence[str | os.PathLike[str]],
    folder: Path,
    done: Callable[[], int],
    every_sec: float,
    variables: Mapping[str, str] | None = None,
    stop_at: int | None = None,
) -> Soak:
    """Run Python with these arguments in the repository until it ends, and sample it.

    Args:
        words: arguments, such as the name of a program.
        folder: for its output (`stdout`, `stderr`) and its temporary files (`tmp`).
        done: returns the iterations that it has finished.
        every_sec: seconds between samples.
        variables: of the environment, besides one thread and no GPU.
        stop_at: end the program after this number of iterations, as Ctrl-C does, because it would not end by itself.
    """
    (folder / "tmp").mkdir(parents=True)
    fixed = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TMPDIR": str(folder / "tmp")}
    began = time.perf_counter()
    samples: list[Usage] = []
    peak_mb = 0.0
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=REPOSITORY,
            env={**os.environ, **fixed, **(variables or {})},
            stdout=out,
            stderr=err,
        )
        try:
            while process.poll() is None:
                if count := done():
                    samples += sample(process.pid, folder / "tmp", count)
                    peak_mb = max(peak_mb, peak_memory_mb(process.pid))
                    if stop_at is not None and count >= stop_at:
                        process.terminate()
                        process.wait(60)
                        break
                time.sleep(every_sec)
        finally:
            process.kill()
    status = process.wait()
    assert status == 0 or stop_at is not None, (folder / "stderr").read_text()[-2000:]
    return Soak(samples, peak_mb, time.perf_counter() - began)


def sample(process: int, temporary: Path, done: int) -> list[Usage]:
    """Return the usage of a process and its children, or nothing if it is about to end."""
    pids = [process, *_descendants(process)]
    try:
        read = [_read(pid) for pid in pids]
        names = {str(pid) for pid in pids}
        shared = sum(1 for path in Path("/dev/shm").iterdir() if names & {*path.name.split("_"), *path.name.split("-")})
        files = sum(1 for path in temporary.rglob("*") if path.is_file())
    except (OSError, ValueError):  # one of them has just ended
        return []
    memory, opened, threads, cpu = (sum(column) for column in zip(*read, strict=True))
    return [Usage(done, memory, int(opened), int(threads), len(pids), files, shared, cpu)]


def _read(pid: int) -> tuple[float, int, int, float]:
    """Return memory in MB, open files, threads, and processor time in seconds of one process."""
    rollup = (PROC / str(pid) / "smaps_rollup").read_text()
    kb = {line.split(":")[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
    times = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[11:15]
    return (
        (kb["Pss_Anon"] + kb["Pss_Shmem"]) / 1024,
        sum(1 for _ in (PROC / str(pid) / "fd").iterdir()),
        sum(1 for _ in (PROC / str(pid) / "task").iterdir()),
        sum(map(int, times)) / TICKS_PER_SEC,  # its own, and of children that have ended
    )


def peak_memory_mb(pid: int) -> float:
    """Return the most memory that a process has had so far, with the code of libraries, or 0 if it is about to end."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def _descendants(pid: int) -> Iterator[int]:
    try:
        found = [
            int(child)
            for task in (PROC / str(pid) / "task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return
    for child in found:
        yield child
        yield from _descendants(child)


def fit(samples: Sequence[Usage], warm_up: int) -> Trend:
    """Return the growth over the samples after `warm_up` iterations."""
    kept = [usage for usage in samples if usage.done >= warm_up]
    assert len(kept) >= 8, f"only {len(kept)} samples after the warm-up: too few to judge"
    kept = [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, MOST_SAMPLES).astype(int))]
    done = np.array([usage.done for usage in kept], dtype=float)
    assert done[-1] > done[0]

    def slope(name: str) -> float:
        with np.errstate(invalid="ignore"):  # its interval, which is not used, has no width where nothing changes
            return 1000 * float(theilslopes([getattr(usage, name) for usage in kept], done)[0])

    middle = int(np.searchsorted(done, (done[0] + done[-1]) / 2))
    memory = slope("memory_mb")
    return Trend(
        memory,
        memory * (done[-1] - done[0]) / 1000,
        {name: slope(name) for name in COUNTS},
        _cost(kept[middle:]) / max(_cost(kept[: middle + 1]), 1e-9),
        int(done[-1] - done[0]),
    )


def _cost(samples: Sequence[Usage]) -> float:
    """Return the median processor time per iteration over eight parts of a run, in seconds."""
    parts = np.array_split(np.array([(usage.done, usage.cpu_sec) for usage in samples]), min(8, len(samples) // 2))
    costs = [(part[-1, 1] - part[0, 1]) / (part[-1, 0] - part[0, 0]) for part in parts if part[-1, 0] > part[0, 0]]
    return statistics.median(costs) if costs else 0.0


def check(promise: str, soak: Soak, iterations: int, warm_up: int, bounds: Bounds | None = None) -> None:
    """Assert that nothing grows after the warm-up, and record the figures under this promise."""
    trend = fit(soak.samples, warm_up)
    record(promise, iterations, f"{trend.describe()}; peak {soak.peak_mb:.0f} MB with libraries, {soak.seconds:.0f} s")
    faults = trend.faults(bounds or Bounds())
    assert not faults, f"{promise}: {'; '.join(faults)}\n" + describe_samples(soak.samples)


def describe_samples(samples: Sequence[Usage]) -> str:
    """Return some samples as lines."""
    chosen = [samples[i] for i in np.unique(np.linspace(0, len(samples) - 1, 25).astype(int))]
    return "\n".join(
        " ".join(
            f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}"
            for name, value in zip(Usage._fields, usage, strict=True)
        )
        for usage in chosen
    )


class LineCounter:
    """Counts the lines of a growing file that contain a mark. Each call reads only what is new."""

    def __init__(self, path: Path, mark: str) -> None:
        self._path, self._mark, self._count, self._at = path, mark, 0, 0

    def __call__(self) -> int:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._at)
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._at += len(whole)
            self._count += sum(self._mark.encode() in line for line in whole.splitlines())
        return self._count
