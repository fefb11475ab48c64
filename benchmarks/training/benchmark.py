"""Benchmark training: the recipe computed plainly (train.py --fast off) against the default, in each precision.

Every variant trains in its own process. All take turns of some steps each, so that other load on the machine affects
all alike. On a GPU, whose memory must hold all variants, one precision runs at a time, and the default also without
CUDA graphs. scripts/train_benchmark.sh runs it with defaults.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.training import layer_ways
from benchmarks.training.report import Course, markdown, result_rows
from benchmarks.training.worker import serve
from common import distributed
from common.audio_files import save_wav
from common.cli import ArgumentParser, add_flags, flag, from_flags, not_negative, positive, run
from common.errors import InputError
from common.files.atomic import write_whole
from common.machine import hardware
from common.machine.hardware import AMP_FORMATS
from common.machine.precision import DTYPES, amp_format, full_precision

PROGRAM = "train_benchmark"
CLIP_SEC = 6.6  # LJSpeech's mean
CLIPS = 64  # synthetic clips, which the list repeats
NO_GRAPHS = "on, no graphs"  # train.py's --no-cuda-graphs


@dataclasses.dataclass(frozen=True)
class TrainingBenchmarkConfig:
    """Variants to measure, and the number of measurements."""

    hifigan_config: tuple[str, ...] = flag(
        (), "v1, v2, v3 or JSON files; without it, v1 on the GPU, v1 and v3 on the CPU", metavar="NAME|PATH"
    )
    batch_size: tuple[int, ...] = flag(
        (), "batch sizes; without it, 16 and 128 on the GPU, 4 on the CPU", short=("-bs",)
    )
    segment_size: int = flag(8192, "samples in one training segment")
    amp: bool = flag(True, f"also measure mixed precision: {AMP_FORMATS}")
    amp_dtype: str = flag("auto", "precision of mixed precision, as in train.py", choices=("auto", "fp16", "bf16"))
    cuda: bool = flag(False, "run on the GPU (without it: on the CPU)")
    steps: int | None = flag(None, "optimiser steps of a burst; without it, 10 on the GPU and 3 on the CPU")
    repeats: int = flag(5, "measured bursts of each variant")
    warmup: int = flag(1, "bursts before the measured ones")
    agreement_steps: int | None = flag(
        None,
        "first steps whose losses are compared (0: none); without it, 50 on the GPU, all measured ones on the CPU",
    )
    minutes: float = flag(0.0, "skip cases and bursts that have not begun by then (0: no limit)")
    layers: bool = flag(False, "also compare ways to compute each layer of the discriminators")
    num_workers: int | None = flag(None, "processes that load audio for the plain recipe; without it, as in train.py")
    output: str = flag(f"output/{PROGRAM}", "directory of the tables and the JSON file", short=("-o",), metavar="PATH")

    def __post_init__(self) -> None:
        for size in self.batch_size:
            positive(batch_size=size)
        positive(segment_size=self.segment_size, burst=self.burst, repeats=self.repeats)
        not_negative(warmup=self.warmup, agreement_steps=self.compared, minutes=self.minutes)

    @property
    def burst(self) -> int:
        return (10 if self.cuda else 3) if self.steps is None else self.steps

    @property
    def compared(self) -> int:
        made = self.burst * (self.repeats + self.warmup)
        return (max(50, made) if self.cuda else made) if self.agreement_steps is None else self.agreement_steps

    @property
    def cases(self) -> list[tuple[str, int]]:
        configs = self.hifigan_config or (("v1",) if self.cuda else ("v1", "v3"))
        return [(config, size) for config in configs for size in self.batch_size or ((16, 128) if self.cuda else (4,))]


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    parser = ArgumentParser(prog=PROGRAM, description=__doc__, epilog="Flags may be written with - or _.")
    add_flags(parser, TrainingBenchmarkConfig, "benchmark")
    cfg = from_flags(TrainingBenchmarkConfig, vars(parser.parse_args(words)))
    device = distributed.select_device(cfg.cuda)
    Path(cfg.output).mkdir(parents=True, exist_ok=True)
    header = {
        **hardware.describe(device, "benchmarks.training.benchmark", words),
        "input": f"segments of {cfg.segment_size} samples of synthetic clips of {CLIP_SEC} s",
        "rounds": f"{cfg.repeats} bursts of {cfg.burst} steps after {cfg.warmup} of warm-up; all variants in turn",
    }
    deadline = time.monotonic() + 60 * cfg.minutes if cfg.minutes else math.inf
    rows: list[dict[str, Any]] = []
    ways: list[dict[str, Any]] = []
    left_out: list[str] = []
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        make_clips(Path(folder), max(size for _, size in cfg.cases))
        for config, batch_size in cfg.cases:
            if rows and time.monotonic() > deadline:
                left_out.append(f"{config}, batch {batch_size}: {cfg.minutes:g} minutes are over (--minutes)")
                continue
            try:
                rows += measured_case(cfg, Path(folder), config, batch_size, deadline)
            except InputError as error:
                left_out.append(f"{config}, batch {batch_size}: {error}")
                status = 1
    if not rows:
        raise InputError("; ".join(left_out))
    if cfg.layers:
        ways.append(measured_layers(cfg, device))
    text = markdown(header, rows, ways, left_out)
    block = json.dumps({"header": header, "rows": rows, "layer_ways": ways, "left_out": left_out}, indent=1)
    write_whole(Path(cfg.output) / f"{PROGRAM}.md", text.encode())
    write_whole(Path(cfg.output) / f"{PROGRAM}.json", block.encode())
    print(f"{text}\n```json\n{block}\n```")
    return status


def make_clips(folder: Path, batch_size: int) -> None:
    """Write clips of tones that swell and fade with noise, and a list long enough for an epoch of several steps."""
    rng = np.random.default_rng(0)
    at_sec = np.arange(int(CLIP_SEC * 22050)) / 22050
    names = []
    for clip in range(CLIPS):
        tone = np.sin(2 * np.pi * (100 + 2 * clip) * at_sec) * (1 + np.sin(2 * np.pi * 3 * at_sec)) / 4
        save_wav(folder / f"{clip}.wav", tone + 0.05 * rng.standard_normal(len(at_sec)), 22050)
        names.append(f"{clip}.wav\n")
    (folder / "train.txt").write_text("".join(names) * max(1, 8 * batch_size // CLIPS))
    (folder / "val.txt").write_text(names[0])


def measured_case(
    cfg: TrainingBenchmarkConfig, folder: Path, config: str, batch_size: int, deadline: float
) -> list[dict[str, Any]]:
    """Measure one generator and batch size. Return a row for each variant, first the plain recipe in fp32."""
    full = full_precision(torch.device("cuda" if cfg.cuda else "cpu"))
    mixed = f"{mixed_precision(cfg)} autocast"
    ways = ("off", "on", NO_GRAPHS) if cfg.cuda else ("off", "on")
    courses = [Course(name, fast) for name in ((full, mixed) if cfg.amp else (full,)) for fast in ways]
    at_a_time = len(ways) if cfg.cuda else len(courses)  # a CPU has memory for all, and more disturbing load
    flop = 0
    for first in range(0, len(courses), at_a_time):
        chosen = courses[first : first + at_a_time]
        with contextlib.ExitStack() as stack:
            workers = [
                stack.enter_context(
                    started(arguments(cfg, folder, config, batch_size, course.fast, course.precision != full))
                )
                for course in chosen
            ]
            run_in_turn(cfg, workers, chosen, deadline)
            flop = flop or ask(workers[0], "flop")  # last, since it copies the models
    return result_rows(courses, flop, cfg.compared, config, batch_size, cfg.segment_size)


def run_in_turn(
    cfg: TrainingBenchmarkConfig, workers: Sequence[Any], courses: Sequence[Course], deadline: float
) -> None:
    """Measure some variants in turn. Past the deadline, take only what a row needs."""
    for worker, course in zip(workers, courses, strict=True):
        course.matmul_flops = ask(worker, "matmul_flops")
    for number in range(cfg.warmup + cfg.repeats):
        for worker, course in zip(workers, courses, strict=True):
            burst = ask(worker, "burst", cfg.burst)
            course.losses += burst.losses
            if number >= cfg.warmup:
                course.seconds.append(burst.seconds / cfg.burst)
                course.processor_sec.append(burst.processor_sec / cfg.burst)
        if courses[0].seconds and time.monotonic() > deadline:
            break
    for worker, course in zip(workers, courses, strict=True):
        if cfg.compared > len(course.losses) and time.monotonic() < deadline:
            course.losses += ask(worker, "burst", cfg.compared - len(course.losses)).losses
    for number in range(1 + min(3, cfg.repeats)):
        for worker, course in zip(workers, courses, strict=True):
            parts = ask(worker, "parts")
            course.parts += [parts] if number else []  # the first measurement is warm-up
    for worker, course in zip(workers, courses, strict=True):
        course.peak_bytes, course.graphs = ask(worker, "peak_bytes"), ask(worker, "graphs")


def measured_layers(cfg: TrainingBenchmarkConfig, device: torch.device) -> dict[str, Any]:
    """Measure all ways to compute the discriminators' layers, at the first batch size, real and fake in one call."""
    torch.backends.cudnn.benchmark = True
    batch = 2 * cfg.cases[0][1]
    dtype = DTYPES[mixed_precision(cfg)] if cfg.amp else torch.float32
    seconds = {
        layer.name: layer_ways.measured(layer, batch, dtype, device) for layer in layer_ways.layers(cfg.segment_size)
    }
    return {"batch_size": batch, "precision": str(dtype).removeprefix("torch."), "layers": seconds}


def mixed_precision(cfg: TrainingBenchmarkConfig) -> str:
    """Return the format of train.py --amp."""
    return amp_format(cfg.amp_dtype, "cuda" if cfg.cuda else "cpu")


def arguments(
    cfg: TrainingBenchmarkConfig, folder: Path, config: str, batch_size: int, fast: str, amp: bool
) -> list[str]:
    """Return a command line of train.py."""
    words = ["--fast", fast.split(",")[0], *(["--no-cuda-graphs"] if fast == NO_GRAPHS else [])]
    words += ["--dataset-path", str(folder), "--hifigan-config", config]
    words += ["--training-files", str(folder / "train.txt"), "--validation-files", str(folder / "val.txt")]
    words += ["--batch-size", str(batch_size), "--segment-size", str(cfg.segment_size)]
    words += ["--amp", "--amp-dtype", cfg.amp_dtype] if amp else []
    words += ["--num-workers", str(cfg.num_workers)] if cfg.num_workers is not None else []
    return [*words, *(["--cuda"] if cfg.cuda else [])]


@contextlib.contextmanager
def started(argv: list[str]) -> Iterator[Any]:
    """Start a process that trains on request, and yield the pipe to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, argv, torch.get_num_threads()))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(30)
        if process.is_alive():
            process.kill()


def ask(worker: Any, method: str, *words: Any) -> Any:
    """Call a method of the process's `Worker`.

    Raises:
        InputError: the process failed, perhaps for lack of memory.
    """
    try:
        worker.send((method, words))
        result, error = worker.recv()
    except (EOFError, BrokenPipeError, ConnectionResetError) as lost:
        raise InputError("a variant was killed, perhaps for lack of memory; give a smaller --batch-size") from lost
    if error:
        raise InputError(f"a variant failed: {error}")
    return result


if __name__ == "__main__":
    run(main, PROGRAM)
