"""What the rounds of the inference benchmark come to: a row of figures for each model, size and way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.inference.quality import Quality
from benchmarks.inference.rounds import Measured, Task
from benchmarks.inference.start import Start
from benchmarks.inference.ways import EAGER
from common.audio import AudioConfig
from common.machine.timing import latency_summary

Row = dict[str, Any]


@dataclasses.dataclass
class Results:
    """All of a run.

    Attributes:
        header: on what, with what, from what it was made.
        rows: of `summarised`.
        quality: model -> way -> on real speech; without the models and ways that were not judged.
        starts: model -> of inference.py.
        flop_per_sec: precision -> measured rate of matrix products.
    """

    header: dict[str, str]
    rows: list[Row]
    quality: dict[str, dict[str, Quality]]
    starts: dict[str, list[Start]]
    flop_per_sec: dict[str, float]


def summarised(
    tasks: Sequence[Task],
    measured: Sequence[Measured],
    audios: Mapping[str, AudioConfig],
    works: Mapping[str, int],
    flop_per_sec: Mapping[str, float],
    speaks: bool,
) -> list[Row]:
    """The figures of each task, in this order.

    Args:
        audios: of the models.
        works: of the models, `flop_per_frame`.
        flop_per_sec: precision -> limit.
        speaks: FastPitch's time counts.
    """
    rows = [_figures(task, figures, audios[task.model], speaks) for task, figures in zip(tasks, measured, strict=True)]
    for row, figures in zip(rows, measured, strict=True):
        alike = [other for other in rows if _size(other) == _size(row)]
        row["speed-up"] = _times_as_fast(row, [other for other in alike if other["way"] == EAGER])
        scripted = [other for other in alike if _is_half_torchscript(other)]
        row["over_torchscript_half"] = _times_as_fast(row, scripted)
        frames = figures.frames / len(figures.vocoding_sec)
        rate = works[row["model"]] * frames / float(np.median(figures.vocoding_sec))
        limit = flop_per_sec.get(row["precision"])
        row["share_of_limit"] = rate / limit if limit else None
    return rows


def _figures(task: Task, measured: Measured, audio: AudioConfig, speaks: bool) -> Row:
    latencies = [sum(parts) for parts in zip(measured.speaking_sec, measured.vocoding_sec, strict=True)]
    if not speaks:
        latencies = list(measured.vocoding_sec)
    samples = measured.frames * audio.hop_length
    batch_size = len(task.case.inputs)
    row: Row = {
        "model": task.model,
        "batch_size": batch_size,
        "length": task.case.length,
        "audio_sec": samples / audio.sampling_rate / len(latencies) / batch_size,
        "way": task.way,
        "precision": task.precision,
        "denoising": task.strength,
    }
    if speaks:
        row["mel_gen_frames/s"] = measured.frames / sum(measured.speaking_sec)
    row |= {
        "hifigan_frames/s": measured.frames / sum(measured.vocoding_sec),
        "hifigan_samples/s": samples / sum(measured.vocoding_sec),
        "throughput": samples / sum(latencies),
        "RTF": samples / sum(latencies) / audio.sampling_rate / batch_size,
        **latency_summary(latencies),
        "latency": latencies,
    }
    if measured.peak_bytes:
        row["peak_memory_mib"] = measured.peak_bytes / 2**20
    return row


def _size(row: Row) -> tuple[Any, ...]:
    return row["model"], row["batch_size"], row["length"], row["denoising"] > 0


def _is_half_torchscript(row: Row) -> bool:
    return bool(row["way"].startswith("TorchScript") and row["precision"] in ("fp16", "bf16"))


def _times_as_fast(row: Row, bases: Sequence[Row]) -> float | None:
    """Median over rounds of the base's time over the row's; None for the base itself, and without one."""
    if not bases or bases[0] is row:
        return None
    return float(np.median(np.divide(bases[0]["latency"], row["latency"])))
