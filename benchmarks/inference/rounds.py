"""Measurement loop of the inference benchmark: each round runs all ways and sizes once."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from common.errors import InputError
from common.machine.progress import watched
from common.machine.timing import now_sec

MIN_ROUNDS = 3  # regardless of the time limit


@dataclasses.dataclass(frozen=True)
class Case:
    """One batch of inputs.

    Attributes:
        inputs: mels on the device, or pieces of text, one per utterance of the batch.
        length: index in the list of lengths, 0 for the main one.
        denoised: whether a denoiser follows.
    """

    inputs: Sequence[Any]
    length: int = 0
    denoised: bool = False


@dataclasses.dataclass(frozen=True)
class Task:
    """A case, run in one way.

    Attributes:
        model: name of the generator.
        way: name of the way of running it.
        precision: of its products.
        case: its inputs.
        strength: of the denoiser, or 0 without one.
        mels: inputs of a case -> mels [M, L].
        vocoder: mels -> waveforms.
    """

    model: str
    way: str
    precision: str
    case: Case
    strength: float
    mels: Callable[[Sequence[Any]], list[Tensor]]
    vocoder: Callable[[Sequence[Tensor]], list[Tensor]]


@dataclasses.dataclass
class TaskTimes:
    """Measurements of one task, one value per round.

    Attributes:
        speaking_sec: time of FastPitch.
        vocoding_sec: time of the vocoder.
        frames: total over all rounds, without padding.
        peak_bytes: peak of the GPU memory allocated by the task, including the warm-up, which captures graphs.
    """

    speaking_sec: list[float] = dataclasses.field(default_factory=list)
    vocoding_sec: list[float] = dataclasses.field(default_factory=list)
    frames: int = 0
    peak_bytes: int = 0

    def forget(self) -> None:
        """Discard the times of the warm-up."""
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
) -> list[TaskTimes]:
    """Measure all tasks in turn, and return their times.

    Args:
        tasks: to measure.
        warmup: additional first rounds that do not count. They are identical to the measured ones.
        rounds: maximum number of measured rounds.
        device: of the tasks.
        minutes: after this time, warm-up included, no further round begins once there are `MIN_ROUNDS`.
        limit: an `ArithmeticLimit` to measure in each round.

    Raises:
        InputError: a batch does not fit into the GPU's memory.
    """
    measured = [TaskTimes() for _ in tasks]
    end = time.monotonic() + 60 * minutes
    for number in tqdm(range(warmup + rounds), desc="measuring", unit="round", disable=not watched()):
        if number >= warmup + MIN_ROUNDS and time.monotonic() > end:
            break
        if number == warmup:
            for times in (*measured, *([limit] if limit else [])):
                times.forget()
        if limit:
            limit.measure()
        for task, times in zip(tasks, measured, strict=True):
            try:
                _measure_once(task, device, times)
            except torch.OutOfMemoryError as error:
                size = len(task.case.inputs)
                raise InputError(f"--batch-size: {size} utterances do not fit into the GPU's memory") from error
    return measured


def _measure_once(task: Task, device: torch.device, times: TaskTimes) -> None:
    allocated = 0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        allocated = torch.cuda.memory_allocated(device)
    began = now_sec(device)
    mels = task.mels(task.case.inputs)
    spoken = now_sec(device)
    task.vocoder(mels)
    ended = now_sec(device)
    times.speaking_sec.append(spoken - began)
    times.vocoding_sec.append(ended - spoken)
    times.frames += sum(mel.size(1) for mel in mels)
    if device.type == "cuda":
        times.peak_bytes = max(times.peak_bytes, torch.cuda.max_memory_allocated(device) - allocated)
