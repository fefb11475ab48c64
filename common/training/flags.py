"""Flags that all training programs share. Each model's subclasses add its own flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

from common.cli import ArgumentParser, flag, folders, not_negative, positive
from common.errors import InputError
from common.machine.hardware import AMP_FORMATS
from common.resources import available_cores

KEPT_CHECKPOINTS = 2  # newest ones of a run, besides its best one and its milestones


@dataclasses.dataclass(frozen=True)
class BaseRunConfig:
    """Settings of a run: output, length, and intervals of logs, validation and checkpoints."""

    output: str = flag("./output", "directory for checkpoints and logs", short=("-o",), metavar="PATH")
    log_file: str = flag("", "DLLogger file; without it, nvlog.json in the output directory", metavar="PATH")
    cuda: bool = flag(False, "train on GPUs (without it: on the CPU)")
    amp: bool = flag(False, "mixed precision training")
    amp_dtype: str = flag(
        "auto",
        f"precision: auto is {AMP_FORMATS}",
        choices=("auto", "fp16", "bf16"),
        only_with="amp",
    )
    seed: int = flag(1234, "seed of the initial weights, the order of clips and every random choice about the data")
    deterministic: bool = flag(
        False,
        "equal bits whenever the same command runs on the same kind of machine, with the same numbers of processes and "
        "threads: nothing is chosen by its speed, and GPUs add in a fixed order, which is slower",
    )
    epochs: int = flag(1000, "epochs in the whole run")
    epochs_this_job: int = flag(0, "stop, with a checkpoint, after this number of epochs in this process (0: no limit)")
    resume: bool = flag(True, "continue from the newest checkpoint in the output directory")
    checkpoint_interval: int = flag(
        10, f"epochs between checkpoints; the newest {KEPT_CHECKPOINTS} and the best one (best.json) are kept"
    )
    keep_milestones: tuple[int, ...] = flag(
        tuple(range(1000, 10001, 1000)), "epochs whose checkpoints are never deleted"
    )
    validation_interval: int = flag(10, "epochs between validations")
    patience: int = flag(
        0, "stop, with a checkpoint, after this number of validations in a row without a better mel loss (0: do not)"
    )
    samples_interval: int = flag(100, "epochs between TensorBoard samples of validation clips")
    step_logs_interval: int = flag(1, "optimiser steps between log lines")
    benchmark_epochs_num: int = flag(0, "at the end, log the throughput of this number of last epochs (0: do not)")
    nonfinite_limit: int = flag(
        20, "stop, with a checkpoint, after this number of consecutive steps skipped for non-finite values"
    )
    peer_timeout_sec: int = flag(
        1800,
        "with several processes: end, and name the one that hangs, when processes wait for each other for this time; "
        "checking the data, validation and a save must take less",
    )

    def __post_init__(self) -> None:
        names = (
            "epochs",
            "checkpoint_interval",
            "validation_interval",
            "samples_interval",
            "step_logs_interval",
            "nonfinite_limit",
            "peer_timeout_sec",
        )
        folders(output=self.output)
        positive(**{name: getattr(self, name) for name in names})
        not_negative(
            epochs_this_job=self.epochs_this_job,
            patience=self.patience,
            benchmark_epochs_num=self.benchmark_epochs_num,
        )
        if not 0 <= self.seed < 2**63:
            raise InputError(f"--seed: {self.seed} is not between 0 and 2^63")


S = TypeVar("S", bound="BaseOptimConfig")


@dataclasses.dataclass(frozen=True)
class BaseOptimConfig:
    """An optimiser step, whatever the optimiser."""

    batch_size: int = flag(16, "clips in one forward and backward pass of one process", short=("-bs",))
    grad_accumulation: int = flag(1, "forward and backward passes in one optimiser step")
    global_batch_size: int = flag(
        0, "clips in one optimiser step; sets --grad-accumulation from the number of processes (0: unused)"
    )
    warmup_steps: int = flag(0, "optimiser steps over which the learning rate rises from 0")
    grad_clip_thresh: float = flag(0.0, "largest gradient norm of each optimiser (0: no limit)")
    ema: float = flag(0.0, "decay of the moving average of the weights, such as 0.999 (0: none)")

    def __post_init__(self) -> None:
        positive(batch_size=self.batch_size, grad_accumulation=self.grad_accumulation)
        for name in ("global_batch_size", "warmup_steps", "grad_clip_thresh"):
            not_negative(**{name: getattr(self, name)})
        if not 0 <= self.ema < 1:
            raise InputError(f"--ema: {self.ema} is not between 0 and 1")

    def check_betas(self) -> None:
        """Raise `InputError` unless the optimiser's betas, which subclasses have, are in range."""
        for name in ("adam_beta1", "adam_beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')}: {getattr(self, name)} is not between 0 and 1")

    def learning_rate_at(self, epoch: int, step: int) -> float:
        """Return the rate of an optimiser step after `epoch` finished epochs and `step` steps since the beginning."""
        raise NotImplementedError

    def shared_by(self: S, world_size: int) -> S:
        """Return the same optimisation on `world_size` processes, where --global-batch-size sets the accumulation.

        Raises:
            InputError: the global batch does not divide evenly.
        """
        if not self.global_batch_size:
            return self
        accumulation, rest = divmod(self.global_batch_size, self.batch_size * world_size)
        if rest or not accumulation:
            raise InputError(
                f"--global-batch-size: {self.global_batch_size} is not a multiple of "
                f"--batch-size {self.batch_size} x {world_size} processes"
            )
        return dataclasses.replace(self, grad_accumulation=accumulation)


@dataclasses.dataclass(frozen=True)
class BaseDataConfig:
    """Which clips a run trains on, and how processes load them."""

    dataset_path: str = flag(
        "data/LJSpeech-1.1", "directory that the file lists are relative to", short=("-d",), metavar="PATH"
    )
    training_files: tuple[str, ...] = flag((), "file lists for training", metavar="PATH", required=True)
    validation_files: tuple[str, ...] = flag((), "file lists for validation", metavar="PATH", required=True)
    num_workers: int = flag(min(4, available_cores()), "processes that load data; 0 loads in the training process")
    dataset_cache: str = flag("none", "ram: each process loads all clips once and keeps them", choices=("none", "ram"))

    def __post_init__(self) -> None:
        not_negative(num_workers=self.num_workers)


def parse_flags(parser: ArgumentParser, argv: Sequence[str] | None) -> dict[str, Any]:
    """Parse the command line of a training program. Return the values that the user gave.

    Raises:
        InputError: two flags that set the same value.
    """
    given = vars(parser.parse_args(argv))
    if given.get("global_batch_size") and "grad_accumulation" in given:
        raise InputError("--global-batch-size: sets --grad-accumulation; give one of them")
    return given
