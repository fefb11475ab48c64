"""Measurement loop of the inference benchmark: each round runs all ways of a case once."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from common.errors import first_line
from common.machine.timing import now_sec

REST_SEC = 0.02  # before each call: threads of the way before it keep cores busy for milliseconds, waiting for work
MIN_ROUNDS = 3  # regardless of a stage's share of the time


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

    @property
    def name(self) -> str:
        return f"batch {len(self.inputs)}, length {self.length}{', denoised' if self.denoised else ''}"


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

    @property
    def name(self) -> str:
        return f"{self.model}, {self.case.name}, {self.way}"


@dataclasses.dataclass
class TaskTimes:
    """Measurements of one task, one value per round.

    Attributes:
        speaking_sec: time of FastPitch.
        vocoding_sec: time of the vocoder.
        frames: total over all rounds, without padding.
        peak_bytes: peak of the GPU memory allocated by the task, including the warm-up, which captures graphs.
        first_sec: time of the first call, in which libraries choose kernels and graphs are captured.
        wavs: waveforms of the first call.
        failure: why the task cannot run, or "".
    """

    speaking_sec: list[float] = dataclasses.field(default_factory=list)
    vocoding_sec: list[float] = dataclasses.field(default_factory=list)
    frames: int = 0
    peak_bytes: int = 0
    first_sec: float = 0.0
    wavs: list[Tensor] = dataclasses.field(default_factory=list)
    failure: str = ""

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
    seconds: float = float("inf"),
    last_sec: float = float("inf"),
    alive: Callable[[str], None] = lambda name: None,
) -> list[TaskTimes]:
    """Measure all tasks in turn, and return their times. A task that fails is skipped in further rounds.

    Args:
        tasks: to measure.
        warmup: additional first rounds that do not count. They are identical to the measured ones.
        rounds: maximum number of measured rounds.
        device: of the tasks.
        seconds: after this time, warm-up included, no further round begins once there are `MIN_ROUNDS`.
        last_sec: after this time, no further round begins once there is one.
        alive: called with a task's name before each call.
    """
    measured = [TaskTimes() for _ in tasks]
    began = time.monotonic()
    for number in range(warmup + rounds):
        limit = seconds if number >= warmup + MIN_ROUNDS else last_sec
        if number > warmup and time.monotonic() - began > limit:
            break
        for task, times in zip(tasks, measured, strict=True):
            if number == warmup:
                times.forget()
            if times.failure:
                continue
            alive(task.name)
            try:
                _measure_once(task, device, times, is_first=number == 0)
            except torch.OutOfMemoryError:
                times.failure = f"{len(task.case.inputs)} utterances do not fit into the GPU's memory"
            except Exception as error:  # compilers, drivers and runtimes fail in many ways
                times.failure = first_line(error)
        if device.type == "cuda" and any(times.failure for times in measured):
            torch.cuda.empty_cache()  # what a failed task left
    return measured


def _measure_once(task: Task, device: torch.device, times: TaskTimes, is_first: bool) -> None:
    allocated = 0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        allocated = torch.cuda.memory_allocated(device)
    time.sleep(REST_SEC)
    began = now_sec(device)
    mels = task.mels(task.case.inputs)
    spoken = now_sec(device)
    wavs = task.vocoder(mels)
    ended = now_sec(device)
    times.speaking_sec.append(spoken - began)
    times.vocoding_sec.append(ended - spoken)
    times.frames += sum(mel.size(1) for mel in mels)
    if is_first:
        times.first_sec = ended - began
        times.wavs = [wav.float().cpu() for wav in wavs]
    if device.type == "cuda":
        times.peak_bytes = max(times.peak_bytes, torch.cuda.max_memory_allocated(device) - allocated)
