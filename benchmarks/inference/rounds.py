"""The measurement of the inference benchmark: all ways and sizes in turn, round after round."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from common.errors import InputError
from common.machine.timing import now_sec
from common.progress import watched

LEAST_ROUNDS = 3  # however little time there is


@dataclasses.dataclass(frozen=True)
class Case:
    """One batch of inputs: mels on the device, or pieces of speech.

    Attributes:
        inputs: as many as the batch size.
        length: number in the list of lengths, 0 for the main one.
        denoised: a denoiser follows.
    """

    inputs: Sequence[Any]
    length: int = 0
    denoised: bool = False


@dataclasses.dataclass(frozen=True)
class Task:
    """A case in one way.

    Attributes:
        model: name of the generator.
        way: how it runs.
        precision: of its products.
        case: what it is given.
        strength: of the denoiser, 0 without one.
        mels: inputs of a case -> mels [M, L].
        vocoder: these -> waveforms.
    """

    model: str
    way: str
    precision: str
    case: Case
    strength: float
    mels: Callable[[Sequence[Any]], list[Tensor]]
    vocoder: Callable[[Sequence[Tensor]], list[Tensor]]


@dataclasses.dataclass
class Measured:
    """The rounds of one task; frames without padding.

    Attributes:
        peak_bytes: of the GPU's memory beside what was allocated before, warm-up included: there, graphs are made.
    """

    speaking_sec: list[float] = dataclasses.field(default_factory=list)
    vocoding_sec: list[float] = dataclasses.field(default_factory=list)
    frames: int = 0
    peak_bytes: int = 0

    def forget(self) -> None:
        """Drops the times of the warm-up."""
        self.speaking_sec.clear()
        self.vocoding_sec.clear()
        self.frames = 0


def measure(
    tasks: Sequence[Task],
    warmup: int,
    rounds: int,
    device: torch.device,
    minutes: float = float("inf"),
    limit: Any = None,
) -> list[Measured]:
    """What was measured of each task.

    Args:
        warmup: rounds before those that count.
        rounds: at most; what warms up is the measurement itself, so that nothing about it can differ.
        minutes: no further round begins after these, warm-up included, once there are `LEAST_ROUNDS`.
        limit: an `ArithmeticLimit`, measured in each round.

    Raises:
        InputError: a batch does not fit into the GPU's memory.
    """
    measured = [Measured() for _ in tasks]
    end = time.monotonic() + 60 * minutes
    for number in tqdm(range(warmup + rounds), desc="measuring", unit="round", disable=not watched()):
        if number >= warmup + LEAST_ROUNDS and time.monotonic() > end:
            break
        if number == warmup:
            for figures in (*measured, *([limit] if limit else [])):
                figures.forget()
        if limit:
            limit.measure()
        for task, figures in zip(tasks, measured, strict=True):
            try:
                _measure_once(task, device, figures)
            except torch.OutOfMemoryError as error:
                size = len(task.case.inputs)
                raise InputError(f"--batch-size: {size} utterances do not fit into the GPU's memory") from error
    return measured


def _measure_once(task: Task, device: torch.device, figures: Measured) -> None:
    allocated = 0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        allocated = torch.cuda.memory_allocated(device)
    began = now_sec(device)
    mels = task.mels(task.case.inputs)
    spoken = now_sec(device)
    task.vocoder(mels)
    ended = now_sec(device)
    figures.speaking_sec.append(spoken - began)
    figures.vocoding_sec.append(ended - spoken)
    figures.frames += sum(mel.size(1) for mel in mels)
    if device.type == "cuda":
        figures.peak_bytes = max(figures.peak_bytes, torch.cuda.max_memory_allocated(device) - allocated)
