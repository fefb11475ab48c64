"""The measurement of the inference benchmark: all variants and cases in turn, round after round."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from common.errors import InputError
from common.run_log import watched
from common.timing import now_sec
from hifigan.vocoding import Vocoder


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way of computing.

    Attributes:
        precision: its name in the tables.
        denoising: strength, 0 without a denoiser.
        mels: inputs of a case -> mels [M, L].
        vocoder: these -> waveforms.
    """

    precision: str
    denoising: float
    mels: Callable[[Sequence[Any]], list[Tensor]]
    vocoder: Vocoder


@dataclasses.dataclass(frozen=True)
class Case:
    """One batch of inputs: mels on the device, or pieces of speech.

    Attributes:
        inputs: as many as the batch size.
        in_tables: of the tables' length; the others are for the plot.
    """

    inputs: Sequence[Any]
    in_tables: bool


@dataclasses.dataclass
class Measured:
    """The rounds of one variant and case; frames without padding."""

    speaking_sec: list[float] = dataclasses.field(default_factory=list)
    vocoding_sec: list[float] = dataclasses.field(default_factory=list)
    frames: int = 0
    peak_bytes: int = 0


def measure(
    variants: Sequence[Variant], cases: Sequence[Case], warmup: int, rounds: int, device: torch.device
) -> list[list[Measured]]:
    """The measured rounds: a list for each case, with an item for each variant.

    Raises:
        InputError: a batch does not fit into the GPU's memory.
    """
    measured = [[Measured() for _ in variants] for _ in cases]
    for number in tqdm(range(warmup + rounds), desc="measuring", unit="round", disable=not watched()):
        for case, row in zip(cases, measured, strict=True):
            for variant, figures in zip(variants, row, strict=True):
                try:
                    # What warms up is the measurement itself: nothing about it can differ.
                    _measure_once(variant, case, device, figures if number >= warmup else Measured())
                except torch.OutOfMemoryError as error:
                    size = len(case.inputs)
                    raise InputError(f"--batch-size: {size} utterances do not fit into the GPU's memory") from error
    return measured


def _measure_once(variant: Variant, case: Case, device: torch.device, figures: Measured) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = now_sec(device)
    mels = variant.mels(case.inputs)
    spoken = now_sec(device)
    variant.vocoder(mels)
    ended = now_sec(device)
    figures.speaking_sec.append(spoken - began)
    figures.vocoding_sec.append(ended - spoken)
    figures.frames += sum(mel.size(1) for mel in mels)
    if device.type == "cuda":
        figures.peak_bytes = max(figures.peak_bytes, torch.cuda.max_memory_allocated(device))
