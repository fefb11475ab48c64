"""Speed of training: the recipe written plainly (train.py --fast off) against the default, in each precision.

Every variant trains in a process of its own, and all of them in turn, some steps each, so that what else happens on the
machine hits all alike. scripts/train_benchmark.sh runs it with defaults.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.train_worker import serve
from common import distributed, machine
from common.audio import save_wav
from common.config import ArgumentParser, add_flags, flag, from_flags, not_negative, positive, run
from common.errors import InputError
from common.files import write_whole

log = logging.getLogger(__name__)

PROGRAM = "train_benchmark"
PARTS = ("G", "MPD", "MSD", "mel", "optimiser", "data", "logging")
CLIP_SEC = 6.6  # LJSpeech's mean
CLIPS = 64  # synthetic ones, which the list repeats
NOTES = (
    "Medians of the bursts. Speed-up: seconds of the plain recipe in the same precision, or in full precision, divided "
    "by those of the row, the median of the ratios of bursts that followed each other; the same of processor time, "
    "which on a CPU shared with other programs is steadier. True frames are those of the input mel. Share of the peak: "
    "operations that a step needs divided by seconds and by what a large matrix product reaches in the same precision "
    "and process. Agreement: the largest relative difference of the three losses from those of the plain recipe in the "
    "same precision, over the first steps. Parts are run on their own, forward and backward as both optimiser steps "
    "need them."
)


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
    """What is measured, and how often."""

    hifigan_config: tuple[str, ...] = flag(
        (), "v1, v2, v3 or JSON files; without it, v1 on the GPU, v1 and v3 on the CPU"
    )
    batch_size: tuple[int, ...] = flag(
        (), "batch sizes; without it, 16 and 128 on the GPU, 4 on the CPU", short=("-bs",)
    )
    segment_size: int = flag(8192, "samples in one training segment")
    amp: bool = flag(True, "measure mixed precision as well: fp16 on the GPU, bf16 on the CPU")
    amp_dtype: str = flag("auto", "precision of mixed precision, as in train.py", choices=("auto", "fp16", "bf16"))
    cuda: bool = flag(False, "run on the GPU (without it: on the CPU)")
    steps: int | None = flag(None, "optimiser steps of a burst; without it, 10 on the GPU and 1 on the CPU")
    repeats: int = flag(5, "measured bursts of each variant")
    warmup: int = flag(1, "bursts before these")
    agreement_steps: int | None = flag(
        None, "first steps whose losses are compared; without it, 50 on the GPU, those of the bursts on the CPU"
    )
    num_workers: int | None = flag(None, "processes that load audio for the plain recipe; without it, as in train.py")
    output: str = flag(f"output/{PROGRAM}", "directory of the tables and the JSON file", short=("-o",))

    def __post_init__(self) -> None:
        for size in self.batch_size:
            positive(batch_size=size)
        positive(segment_size=self.segment_size, burst=self.burst, repeats=self.repeats)
        not_negative(warmup=self.warmup, agreement_steps=self.compared)

    @property
    def burst(self) -> int:
        return (10 if self.cuda else 1) if self.steps is None else self.steps

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
    add_flags(parser, BenchmarkConfig, "benchmark")
    cfg = from_flags(BenchmarkConfig, vars(parser.parse_args(words)))
    device = distributed.device_of(cfg.cuda)
    Path(cfg.output).mkdir(parents=True, exist_ok=True)
    header = {
        **machine.describe(device, f"benchmarks.{PROGRAM}", words),
        "input": f"segments of {cfg.segment_size} samples of synthetic clips of {CLIP_SEC} s",
        "rounds": f"{cfg.repeats} bursts of {cfg.burst} steps after {cfg.warmup} of warm-up; all variants in turn",
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        make_clips(Path(folder), max(size for _, size in cfg.cases))
        for config, batch_size in cfg.cases:
            rows += measured_case(cfg, Path(folder), config, batch_size)
    text = markdown(header, rows)
    block = json.dumps({"header": header, "rows": rows}, indent=1)
    write_whole(Path(cfg.output) / f"{PROGRAM}.md", text.encode())
    write_whole(Path(cfg.output) / f"{PROGRAM}.json", block.encode())
    print(f"{text}\n```json\n{block}\n```")
    return 0


def make_clips(folder: Path, batch_size: int) -> None:
    """Noise that swells and fades, and a list that names each clip so often that an epoch has some steps."""
    rng = np.random.default_rng(0)
    time = np.arange(int(CLIP_SEC * 22050)) / 22050
    names = []
    for clip in range(CLIPS):
        tone = np.sin(2 * np.pi * (100 + 2 * clip) * time) * (1 + np.sin(2 * np.pi * 3 * time)) / 4
        save_wav(folder / f"{clip}.wav", tone + 0.05 * rng.standard_normal(len(time)), 22050)
        names.append(f"{clip}.wav\n")
    (folder / "train.txt").write_text("".join(names) * max(1, 8 * batch_size // CLIPS))
    (folder / "val.txt").write_text(names[0])


def measured_case(cfg: BenchmarkConfig, folder: Path, config: str, batch_size: int) -> list[dict[str, Any]]:
    """A row for each variant of one generator and batch size, the plain recipe in full precision first."""
    device = torch.device("cuda" if cfg.cuda else "cpu")
    full = machine.full_precision(device)
    auto = "fp16" if cfg.cuda else "bf16"
    mixed = f"{auto if cfg.amp_dtype == 'auto' else cfg.amp_dtype} autocast"
    variants = [(name, fast) for name in ((full, mixed) if cfg.amp else (full,)) for fast in ("off", "on")]
    frames = batch_size * cfg.segment_size // 256
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(started(arguments(cfg, folder, config, batch_size, fast, name != full)))
            for name, fast in variants
        ]
        matmuls = [ask(worker, "matmul_flops") for worker in workers]
        values: list[list[list[float]]] = [[] for _ in workers]
        seconds: list[list[float]] = [[] for _ in workers]
        processor: list[list[float]] = [[] for _ in workers]
        for number in range(cfg.warmup + cfg.repeats):
            for worker, losses, took, worked in zip(workers, values, seconds, processor, strict=True):
                burst = ask(worker, "burst", cfg.burst)
                losses += burst.losses
                if number >= cfg.warmup:
                    took.append(burst.seconds / cfg.burst)
                    worked.append(burst.processor_sec / cfg.burst)
        for worker, losses in zip(workers, values, strict=True):
            if cfg.compared > len(losses):
                losses += ask(worker, "burst", cfg.compared - len(losses)).losses
        parts = [[ask(worker, "parts") for worker in workers] for _ in range(1 + min(3, cfg.repeats))][1:]
        memory = [ask(worker, "peak_bytes") for worker in workers]
        flop = ask(workers[0], "flop")  # last: it copies the models
    rows = []
    for i, (name, fast) in enumerate(variants):
        plain = next(j for j, variant in enumerate(variants) if variant == (name, "off"))
        median = float(np.median(seconds[i]))
        rows.append(
            {
                "config": config,
                "batch_size": batch_size,
                "precision": name,
                "fast": fast,
                "seconds": seconds[i],
                "processor_sec": processor[i],
                "speed-up of processor time": ratio(processor[plain], processor[i]),
                "speed-up of processor time over full precision": ratio(processor[0], processor[i]),
                "segments/s": batch_size / median,
                "frames/s": frames / median,
                "speed-up": ratio(seconds[plain], seconds[i]),
                "speed-up over full precision": ratio(seconds[0], seconds[i]),
                "peak_memory_mib": memory[i] / 2**20,
                "gflop_per_segment": flop / batch_size / 1e9,
                "matmul_gflops": matmuls[i] / 1e9,
                "share_of_peak": flop / median / matmuls[i],
                "agreement": agreement(values[plain], values[i], cfg.compared) if i != plain else None,
                "compared_steps": min(cfg.compared, len(values[i])),
                "parts_sec": {part: float(np.median([row[i][part] for row in parts])) for part in PARTS},
            }
        )
    return rows


def arguments(cfg: BenchmarkConfig, folder: Path, config: str, batch_size: int, fast: str, amp: bool) -> list[str]:
    """A command line of train.py."""
    words = ["--fast", fast, "--dataset-path", str(folder), "--hifigan-config", config]
    words += ["--training-files", str(folder / "train.txt"), "--validation-files", str(folder / "val.txt")]
    words += ["--batch-size", str(batch_size), "--segment-size", str(cfg.segment_size)]
    words += ["--amp", "--amp-dtype", cfg.amp_dtype] if amp else []
    words += ["--num-workers", str(cfg.num_workers)] if cfg.num_workers is not None else []
    return [*words, *(["--cuda"] if cfg.cuda else [])]


@contextlib.contextmanager
def started(argv: list[str]) -> Iterator[Any]:
    """A process that takes steps of training; the pipe to it."""
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
    """What `train_worker.Worker` answers.

    Raises:
        InputError: it failed, perhaps for lack of memory.
    """
    try:
        worker.send((method, words))
        result, error = worker.recv()
    except (EOFError, BrokenPipeError, ConnectionResetError) as lost:
        raise InputError("a variant was killed, perhaps for lack of memory; give a smaller --batch-size") from lost
    if error:
        raise InputError(f"a variant failed: {error}")
    return result


def ratio(plain: Sequence[float], seconds: Sequence[float]) -> float:
    return float(np.median(np.divide(plain, seconds)))


def agreement(plain: Sequence[Sequence[float]], losses: Sequence[Sequence[float]], steps: int) -> float:
    """The largest relative difference of two courses of losses [steps, 3]."""
    expected, actual = np.asarray(plain[:steps]), np.asarray(losses[:steps])
    return float((np.abs(actual - expected) / np.abs(expected)).max())


def markdown(header: dict[str, str], rows: Sequence[dict[str, Any]]) -> str:
    lines = ["# Training benchmark", "", *machine.markdown(header), "", NOTES]
    for config, size in dict.fromkeys((row["config"], row["batch_size"]) for row in rows):
        chosen = [row for row in rows if (row["config"], row["batch_size"]) == (config, size)]
        lines += ["", f"## {config}, batch {size}", ""]
        lines.append(
            f"{chosen[0]['gflop_per_segment']:.1f} GFLOP per segment. Losses compared over "
            f"{chosen[0]['compared_steps']} steps."
        )
        columns = ["Precision", "--fast", "Seconds a step", "Segments/s", "True frames/s", "Speed-up", "Over full"]
        columns += ["Processor time: speed-up", "Over full", "Peak memory (MiB)", "Share of peak", "Agreement"]
        cells = [
            (
                row["precision"],
                row["fast"],
                f"{np.median(row['seconds']):.4f}",
                f"{row['segments/s']:.2f}",
                f"{row['frames/s']:.1f}",
                f"{row['speed-up']:.2f}",
                f"{row['speed-up over full precision']:.2f}",
                f"{row['speed-up of processor time']:.2f}",
                f"{row['speed-up of processor time over full precision']:.2f}",
                f"{row['peak_memory_mib']:.0f}",
                f"{row['share_of_peak']:.1%} of {row['matmul_gflops']:.0f} GFLOP/s",
                "-" if row["agreement"] is None else f"{row['agreement']:.1e}",
            )
            for row in chosen
        ]
        lines += ["", *table(columns, cells), "", "Seconds of the parts of a step:", ""]
        in_parts = [
            (row["precision"], row["fast"], *(f"{row['parts_sec'][part]:.4f}" for part in PARTS)) for row in chosen
        ]
        lines += table(("Precision", "--fast", *PARTS), in_parts)
    return "\n".join([*lines, ""])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]


if __name__ == "__main__":
    run(main, PROGRAM)
