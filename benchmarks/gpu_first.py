"""The first minutes on a GPU: does everything work there, and how fast is it?

Each stage runs in a process of its own with its own time limit, in the order of what would make all else worthless.
Every finding is a line of JSON in gpu_first.jsonl at once. All stages take less than nine minutes. `--dry` runs the
same code on a CPU with small models.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.budget import Budget
from benchmarks.journal import Journal
from common.cli import ArgumentParser, add_flags, flag, from_flags, positive, run
from common.errors import InputError
from common.project import PROJECT

PROGRAM = "benchmarks.gpu_first"
JOURNAL = "gpu_first.jsonl"
# Most seconds of each stage, and the module in benchmarks/gpu that has it.
STAGES = {
    "machine": (30, "machine"),
    "kernels": (45, "machine"),
    "record": (60, "training"),
    "step16": (100, "training"),
    "infer": (60, "synthesis"),
    "step128": (80, "training"),
    "fastpitch": (40, "training"),
    "tests": (90, "synthesis"),
    "layout": (40, "training"),
    "program": (60, "synthesis"),
}
SLOWER_ON_A_CPU = 4
BEGAN = "GPU_FIRST_BEGAN"  # environment variable: when the first stage began, in seconds of the clock


@dataclasses.dataclass(frozen=True)
class GpuFirstConfig:
    """Stages to run, their time, and the output."""

    stages: tuple[str, ...] = flag(tuple(STAGES), "stages to run, in this order", choices=tuple(STAGES))
    dry: bool = flag(False, "rehearse on a CPU with small models")
    minutes: float = flag(8.5, "time of all stages together")
    alone: bool = flag(False, "run one stage in this process, which the program does for each stage")
    output: str = flag("output/gpu_first", "directory of the findings", short=("-o",), metavar="PATH")

    def __post_init__(self) -> None:
        positive(minutes=self.minutes)
        if self.alone and len(self.stages) != 1:
            raise InputError("--alone: takes exactly one of --stages")


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(prog=PROGRAM, description=__doc__, epilog="Flags may be written with - or _.")
    add_flags(parser, GpuFirstConfig, "first minutes")
    words = list(sys.argv[1:] if argv is None else argv)
    cfg = from_flags(GpuFirstConfig, vars(parser.parse_args(words)))
    if not cfg.dry:
        check_gpu()
    folder = Path(cfg.output)
    folder.mkdir(parents=True, exist_ok=True)
    if cfg.alone:
        return run_stage(cfg.stages[0], Journal(folder / JOURNAL, continued=True), cfg.dry, folder)
    return run_all(cfg, Journal(folder / JOURNAL), sys.executable, "-m", PROGRAM)


def check_gpu() -> None:
    """Raise `InputError` if there is no GPU."""
    import torch  # takes seconds

    if not torch.cuda.is_available():
        raise InputError("PyTorch finds no GPU on this machine; --dry rehearses on a CPU")


def run_all(cfg: GpuFirstConfig, journal: Journal, *program: str) -> int:
    """Run each stage in a process of its own, as long as there is time. Return 1 if any did not end well."""
    budget = Budget(cfg.minutes)
    environment = {**os.environ, BEGAN: str(time.time()), **({"TRITON_INTERPRET": "1"} if cfg.dry else {})}
    status = 0
    for stage in cfg.stages:
        began = time.monotonic()
        limit_sec = min(STAGES[stage][0] * (SLOWER_ON_A_CPU if cfg.dry else 1), budget.left_sec)
        if limit_sec < 1:
            journal.add(stage, skipped=f"{cfg.minutes:g} minutes are over (--minutes)")
            continue
        words = [*program, "--alone", "--stages", stage, "--output", cfg.output, *(["--dry"] if cfg.dry else [])]
        # A session of its own, so that processes that the stage started end with it.
        process = subprocess.Popen(words, cwd=PROJECT, env=environment, start_new_session=True)
        try:
            code: int | str = process.wait(limit_sec)
        except subprocess.TimeoutExpired:
            code = f"stopped after {limit_sec:.0f} s"
        finally:
            _end_session(process)
        if code:
            status = 1
        journal.add(stage, ended=code or "well", took_sec=round(time.monotonic() - began, 1))
    print(f"written: {journal.path}", flush=True)
    return status


def run_stage(stage: str, journal: Journal, dry: bool, folder: Path) -> int:
    """Run one stage in this process, without a limit. Return 1 if it ended with an error."""
    from benchmarks.gpu.findings import Findings  # imports PyTorch

    find = Findings(stage, journal, dry, folder, float(os.environ.get(BEGAN, time.time())))
    with find.guarded(stage):  # also around imports, which may fail
        work = getattr(importlib.import_module(f"benchmarks.gpu.{STAGES[stage][1]}"), f"find_{stage}")
        work(find)
        return 0
    return 1


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """Kill what a stage left running, and the stage itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # the number of the session, which this process started
    process.wait()


if __name__ == "__main__":
    run(main, PROGRAM)
