"""Settings of the training benchmark."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from common.cli import flag, not_negative, positive
from common.machine.hardware import AMP_FORMATS

PROGRAM = "train_benchmark"


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
    minutes: float = flag(0.0, "time of the whole benchmark, divided among the variants (0: no limit)")
    variant_minutes: float = flag(30.0, "stop and name a variant that takes longer")
    layers: bool = flag(False, "also compare ways to compute each layer of the discriminators")
    num_workers: int | None = flag(None, "processes that load audio for the plain recipe; without it, as in train.py")
    output: str = flag(f"output/{PROGRAM}", "directory of the tables and the JSON file", short=("-o",), metavar="PATH")

    def __post_init__(self) -> None:
        for size in self.batch_size:
            positive(batch_size=size)
        positive(segment_size=self.segment_size, burst=self.burst, repeats=self.repeats)
        not_negative(warmup=self.warmup, agreement_steps=self.compared, minutes=self.minutes)
        positive(variant_minutes=self.variant_minutes)

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

    def train_arguments(self, folder: Path, config: str, batch_size: int, *flags: str) -> list[str]:
        """Return a command line of train.py."""
        words = ["--dataset-path", str(folder), "--hifigan-config", config]
        words += ["--training-files", str(folder / "train.txt"), "--validation-files", str(folder / "val.txt")]
        words += ["--batch-size", str(batch_size), "--segment-size", str(self.segment_size)]
        words += ["--num-workers", str(self.num_workers)] if self.num_workers is not None else []
        return [*words, *flags, *(["--cuda"] if self.cuda else [])]
