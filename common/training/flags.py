"""What every program can be told about runs, optimiser steps and the signal; models add their own flags."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from common.cli import flag, not_negative, positive
from common.errors import InputError


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """What is run, where it is written, and how often."""

    output: str = flag("./output", "directory for checkpoints and logs", short=("-o",))
    log_file: str = flag("", "DLLogger file; without it, nvlog.json in the output directory")
    cuda: bool = flag(False, "train on GPUs (without it: on the CPU)")
    amp: bool = flag(False, "mixed precision training")
    amp_dtype: str = flag(
        "auto", "precision: auto is fp16 on GPUs, bf16 on CPUs", choices=("auto", "fp16", "bf16"), only_with="amp"
    )
    seed: int = flag(1234, "seed of initialisation, order and all that is random about the data")
    epochs: int = flag(1000, "epochs in the whole run")
    epochs_this_job: int = flag(0, "stop, with a checkpoint, after so many epochs of this process (0: no limit)")
    resume: bool = flag(True, "go on from the newest checkpoint in the output directory")
    checkpoint_interval: int = flag(10, "epochs between checkpoints; the last two are kept")
    keep_milestones: tuple[int, ...] = flag(tuple(range(1000, 10001, 1000)), "epochs whose checkpoints stay")
    validation_interval: int = flag(10, "epochs between validations")
    samples_interval: int = flag(100, "epochs between TensorBoard samples of validation clips")
    step_logs_interval: int = flag(1, "optimiser steps between log lines")
    benchmark_epochs_num: int = flag(0, "at the end, record the throughput of so many last epochs (0: do not)")
    nonfinite_limit: int = flag(
        20, "stop, with a checkpoint, after so many steps in a row that were left out as not finite"
    )

    def __post_init__(self) -> None:
        names = (
            "epochs",
            "checkpoint_interval",
            "validation_interval",
            "samples_interval",
            "step_logs_interval",
            "nonfinite_limit",
        )
        positive(**{name: getattr(self, name) for name in names})
        not_negative(epochs_this_job=self.epochs_this_job, benchmark_epochs_num=self.benchmark_epochs_num)
        if not 0 <= self.seed < 2**63:
            raise InputError(f"--seed: {self.seed} is not between 0 and 2^63")


S = TypeVar("S", bound="StepConfig")


@dataclasses.dataclass(frozen=True)
class StepConfig:
    """What an optimiser step is made of, whatever the optimiser."""

    batch_size: int = flag(16, "clips in one forward and backward pass of one process", short=("-bs",))
    grad_accumulation: int = flag(1, "forward and backward passes in one optimiser step")
    global_batch_size: int = flag(
        0, "clips in one optimiser step; sets --grad-accumulation by the number of processes (0: leave it)"
    )
    warmup_steps: int = flag(0, "optimiser steps over which the learning rate rises from 0")
    grad_clip_thresh: float = flag(0.0, "largest norm of the gradients of each optimiser (0: no limit)")
    ema: float = flag(0.0, "decay of the moving average of the weights, such as 0.999 (0: none)")

    def __post_init__(self) -> None:
        positive(batch_size=self.batch_size, grad_accumulation=self.grad_accumulation)
        for name in ("global_batch_size", "warmup_steps", "grad_clip_thresh"):
            not_negative(**{name: getattr(self, name)})
        if not 0 <= self.ema < 1:
            raise InputError(f"--ema: {self.ema} is not between 0 and 1")

    def learning_rate_at(self, epoch: int, step: int) -> float:
        """The rate of an optimiser step, after `epoch` finished epochs and `step` steps since the beginning."""
        raise NotImplementedError

    def shared_by(self: S, world_size: int) -> S:
        """The same optimisation on so many processes: --global-batch-size settles the accumulation.

        Raises:
            InputError: the global batch cannot be shared out evenly.
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
class SignalFlags:
    """The signal contract; a base checkpoint or a JSON configuration may set these too."""

    sampling_rate: int = flag(22050, "sampling rate in Hz")
    filter_length: int = flag(1024, "FFT size in samples")
    hop_length: int = flag(256, "samples from one mel frame to the next")
    win_length: int = flag(1024, "window in samples")
    num_mels: int = flag(80, "mel bands")
    mel_fmin: float = flag(0.0, "lowest mel frequency in Hz")
    mel_fmax: float = flag(8000.0, "highest mel frequency in Hz of what models take or make")
