"""Train the same short run with several seeds, and collect the losses of all steps.

python -m benchmarks.training.seeds

`train.py` trains V3 with narrow discriminators on the clips of data/demo, on a CPU. The runs differ only in `--seed`
and follow each other. If interrupted, the same command continues. It writes training-seeds.csv and prints Markdown.
benchmarks/results/training-seeds.md has the results, and scripts/draw_figures.py draws them.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from common.cli import ArgumentParser, positive, run
from common.data.filelists import write_lines
from common.errors import InputError
from common.files.dllogger_lines import read_json_lines
from common.machine import hardware
from common.markdown import table
from common.project import PROJECT

LOSSES = ("mel_loss", "g_loss", "d_loss")
VALIDATION_CLIPS = 8
SETTINGS = (
    *("--hifigan-config", "v3", "--discriminator-width", "0.125", "--batch-size", "4"),
    *("--num-workers", "0", "--dataset-cache", "ram", "--validation-interval", "2"),
)


@dataclasses.dataclass(frozen=True)
class SeedRecord:
    """Losses of an optimiser step, or of a validation after this number of steps.

    Attributes:
        seed: of the run.
        part: "train" or "val".
        step: optimiser steps from the start of the run.
        losses: the values of `LOSSES`. Where a loss is not finite, the step was skipped.
    """

    seed: int
    part: str
    step: int
    losses: tuple[float, ...]


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(prog="seeds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset-path", default="data/demo", help="data set with wavs/ and metadata.csv")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4], help="seeds of the runs")
    parser.add_argument("--epochs", type=int, default=10, help="length of each run (default: 10)")
    parser.add_argument("-o", "--output", default="output/training-seeds", help="folder of the runs and the table")
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    positive(epochs=args.epochs)
    output = Path(args.output)
    prepare = prepare_command(Path(args.dataset_path), output)
    trainings = {seed: train_command(Path(args.dataset_path), output, args.epochs, seed) for seed in args.seeds}
    for command in (prepare, *trainings.values()):
        print(shlex.join(["python", *command]), flush=True)
        if subprocess.run([sys.executable, str(PROJECT / command[0]), *command[1:]]).returncode:
            raise InputError(f"{command[0]} failed (see above); the same command continues")
    records = [record for seed in args.seeds for record in read_run(output / f"seed-{seed}" / "nvlog.json", seed)]
    write_lines(output / "training-seeds.csv", csv_lines(records))
    header = hardware.describe(torch.device("cpu"), "benchmarks.training.seeds", words)
    print("", *hardware.markdown(header), "", *summary(records), sep="\n")
    return 0


def prepare_command(dataset: Path, output: Path) -> list[str]:
    """Return the command that splits the clips. The split is the same for all seeds."""
    return [
        *("prepare_dataset.py", "--dataset-path", str(dataset), "--write-filelists", str(output / "filelists")),
        *("--name", dataset.resolve().name, "--validation-clips", str(VALIDATION_CLIPS)),
    ]


def train_command(dataset: Path, output: Path, epochs: int, seed: int) -> list[str]:
    lists = output / "filelists" / f"{dataset.resolve().name}_audio"
    return [
        *("train.py", "-o", str(output / f"seed-{seed}"), "--dataset-path", str(dataset)),
        *("--training-files", f"{lists}_train.txt"),
        *("--validation-files", f"{lists}_val.txt"),
        *(*SETTINGS, "--epochs", str(epochs), "--seed", str(seed)),
    ]


def read_run(log: Path, seed: int) -> list[SeedRecord]:
    """Return the records of a run's log: first all training steps, then all validations.

    A resumed run may have logged a step twice. The later values count.
    """
    found: dict[tuple[str, int], SeedRecord] = {}
    steps_per_epoch = 0
    for place, data in read_json_lines(log):
        if not isinstance(place, list) or not place:
            continue
        part = "train" if len(place) == 3 else "val"
        if len(place) == 3:
            steps_per_epoch = place[2]
        if f"{part}_mel_loss" not in data:
            continue  # the means of an epoch
        step = (place[0] - 1) * place[2] + place[1] if len(place) == 3 else place[0] * steps_per_epoch
        losses = tuple(float(data[f"{part}_{name}"]) for name in LOSSES)
        found[part, step] = SeedRecord(seed, part, step, losses)
    return [found[key] for key in sorted(found)]


def csv_lines(records: Iterable[SeedRecord]) -> list[str]:
    rows = (f"{r.seed},{r.part},{r.step}," + ",".join(f"{loss:.4g}" for loss in r.losses) for r in records)
    return [",".join(("seed", "part", "step", *LOSSES)), *rows]


def summary(records: Sequence[SeedRecord]) -> list[str]:
    """Return a table of the mel losses at the end: means over the last tenth of the steps, and the last validation."""
    rows, skipped = [], 0
    for seed in sorted({record.seed for record in records}):
        steps, validations = ([r for r in records if (r.seed, r.part) == (seed, part)] for part in ("train", "val"))
        end = steps[-max(1, len(steps) // 10) :]
        rows.append((seed, *(statistics.fmean(r.losses[i] for r in end) for i in range(3)), validations[-1].losses[0]))
        skipped += sum(not all(map(math.isfinite, r.losses)) for r in steps)
    columns = list(zip(*rows, strict=True))[1:]
    cells = [(seed, *(f"{value:.2f}" for value in values)) for seed, *values in rows]
    means = ("mean", *(f"{statistics.fmean(column):.2f}" for column in columns))
    ranges = ("largest - smallest", *(f"{max(column) - min(column):.2f}" for column in columns))
    names = ("seed", "mel loss", "generator loss", "discriminator loss", "validation mel loss")
    total = sum(record.part == "train" for record in records)
    return [*table(names, [*cells, means, ranges]), "", f"Steps with a loss that is not finite: {skipped} of {total}."]


if __name__ == "__main__":
    run(main, "seeds")
