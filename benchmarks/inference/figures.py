"""InferenceResults of the inference benchmark: one row of figures per model, size, and way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.inference.quality import Quality
from benchmarks.inference.rounds import Task, TaskTimes
from benchmarks.inference.start import Start
from benchmarks.inference.ways import EAGER
from common.audio import AudioConfig
from common.machine.timing import latency_summary

Row = dict[str, Any]


@dataclasses.dataclass
class InferenceResults:
    """All results of a run.

    Attributes:
        header: provenance.
        rows: from `summarise`.
        quality: model -> way -> quality on real speech, for those that were judged.
        starts: model -> start-up of inference.py.
        flop_per_sec: precision -> measured rate of matrix products.
    """

    header: dict[str, str]
    rows: list[Row]
    quality: dict[str, dict[str, Quality]]
    starts: dict[str, list[Start]]
    flop_per_sec: dict[str, float]


def summarise(
    tasks: Sequence[Task],
    measured: Sequence[TaskTimes],
    audios: Mapping[str, AudioConfig],
    works: Mapping[str, int],
    flop_per_sec: Mapping[str, float],
    speaks: bool,
) -> list[Row]:
    """Return one row of figures per task, in order.

    Args:
        tasks: measured tasks.
        measured: their times.
        audios: audio settings by model.
        works: `flop_per_frame` by model.
        flop_per_sec: limit by precision.
        speaks: include FastPitch's time.
    """
    rows = [
        _summarise_task(task, times, audios[task.model], speaks) for task, times in zip(tasks, measured, strict=True)
    ]
    for row, times in zip(rows, measured, strict=True):
        comparable = [other for other in rows if _case_key(other) == _case_key(row)]
        row["speed-up"] = _compute_speed_up(row, [other for other in comparable if other["way"] == EAGER])
        scripted = [other for other in comparable if _is_half_torchscript(other)]
        row["over_torchscript_half"] = _compute_speed_up(row, scripted)
        frames = times.frames / len(times.vocoding_sec)
        rate = works[row["model"]] * frames / float(np.median(times.vocoding_sec))
        limit = flop_per_sec.get(row["precision"])
        row["share_of_limit"] = rate / limit if limit else None
    return rows


def _summarise_task(task: Task, measured: TaskTimes, audio: AudioConfig, speaks: bool) -> Row:
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


def _case_key(row: Row) -> tuple[Any, ...]:
    return row["model"], row["batch_size"], row["length"], row["denoising"] > 0


def _is_half_torchscript(row: Row) -> bool:
    return bool(row["way"].startswith("TorchScript") and row["precision"] in ("fp16", "bf16"))


def _compute_speed_up(row: Row, bases: Sequence[Row]) -> float | None:
    """Return the median over rounds of the base's time over the row's, or None without another base."""
    if not bases or bases[0] is row:
        return None
    return float(np.median(np.divide(bases[0]["latency"], row["latency"])))
