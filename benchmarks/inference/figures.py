"""Results of the inference benchmark, computed from its journal: one row of figures per model, size, and way."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.inference.quality import Quality
from benchmarks.inference.start import Start
from benchmarks.inference.ways import EAGER
from benchmarks.journal import Record
from common.machine.timing import latency_summary

Row = dict[str, Any]


@dataclasses.dataclass
class InferenceResults:
    """All results of a run, or of the part that is over.

    Attributes:
        header: provenance.
        rows: from `summarise`.
        quality: model -> way -> quality on real speech, for those that were judged.
        starts: model -> start-up of inference.py.
        flop_per_sec: precision -> measured peak of matrix products.
        failures: what failed, and why.
    """

    header: dict[str, str]
    rows: list[Row]
    quality: dict[str, dict[str, Quality]]
    starts: dict[str, list[Start]]
    flop_per_sec: dict[str, float]
    failures: list[str]


def collect(records: Sequence[Record]) -> InferenceResults:
    """Return the results of a journal."""

    def chosen(kind: str) -> list[Record]:
        return [record for record in records if record["kind"] == kind]

    header = {name: value for record in chosen("header") for name, value in record["entries"].items()}
    flop_per_sec: dict[str, float] = {}
    for record in chosen("peak"):
        flop_per_sec[record["precision"]] = max(flop_per_sec.get(record["precision"], 0.0), record["flop_per_sec"])
    peaks = [f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in flop_per_sec.items()]
    if peaks:
        header["arithmetic limit"] = ", ".join(peaks) + ": the fastest of several large matrix products"
    if skipped := dict.fromkeys(record["reason"] for record in chosen("skipped")):
        header["skipped"] = "; ".join(skipped)
    models = {record["name"]: record for record in chosen("model")}
    quality: dict[str, dict[str, Quality]] = {}
    for record in chosen("quality"):
        figures = {name: value if value is None else float(value) for name, value in record["figures"].items()}
        quality.setdefault(record["model"], {})[record["way"]] = Quality(**figures)  # type: ignore[arg-type]
    starts: dict[str, list[Start]] = {}
    for record in chosen("start"):
        starts.setdefault(record["model"], []).append(Start(**record["figures"]))
    failures = [f"{record['name']}: {record['reason']}" for record in chosen("failed")]
    return InferenceResults(
        header, summarise(chosen("row"), models, flop_per_sec), quality, starts, flop_per_sec, failures
    )


def summarise(measured: Sequence[Record], models: dict[str, Record], flop_per_sec: dict[str, float]) -> list[Row]:
    """Return one row of figures per measured task, grouped by model and case, in the order of their ways.

    Args:
        measured: records of kind "row".
        models: by name, records with "sampling_rate", "hop_length" and "flop_per_frame".
        flop_per_sec: limit by precision.
    """
    names = list(models)
    ordered = sorted(
        measured, key=lambda r: (names.index(r["model"]), r["length"], r["batch_size"], r["denoised"], r["place"])
    )
    rows = [_summarise_task(record, models[record["model"]]) for record in ordered]
    for row, record in zip(rows, ordered, strict=True):
        comparable = [other for other in rows if _case_key(other) == _case_key(row)]
        row["speed-up"] = _compute_speed_up(row, [other for other in comparable if other["way"] == EAGER])
        scripted = [other for other in comparable if _is_half_torchscript(other)]
        row["over_torchscript_half"] = _compute_speed_up(row, scripted)
        frames = record["frames"] / len(record["vocoding_sec"])
        rate = models[row["model"]]["flop_per_frame"] * frames / float(np.median(record["vocoding_sec"]))
        limit = flop_per_sec.get(row["precision"])
        row["share_of_limit"] = rate / limit if limit else None
    return rows


def _summarise_task(measured: Record, model: Record) -> Row:
    speaking, vocoding = measured["speaking_sec"], measured["vocoding_sec"]
    speaks = measured["speaks"]
    latencies = [sum(parts) for parts in zip(speaking, vocoding, strict=True)] if speaks else list(vocoding)
    samples = measured["frames"] * model["hop_length"]
    batch_size = measured["batch_size"]
    row: Row = {
        "model": measured["model"],
        "batch_size": batch_size,
        "length": measured["length"],
        "audio_sec": samples / model["sampling_rate"] / len(latencies) / batch_size,
        "way": measured["way"],
        "precision": measured["precision"],
        "denoising": measured["strength"],
    }
    if speaks:
        row["mel_gen_frames/s"] = measured["frames"] / sum(speaking)
    row |= {
        "hifigan_frames/s": measured["frames"] / sum(vocoding),
        "hifigan_samples/s": samples / sum(vocoding),
        "throughput": samples / sum(latencies),
        "RTF": samples / sum(latencies) / model["sampling_rate"] / batch_size,
        **latency_summary(latencies),
        "first_sec": measured["first_sec"],
        "made_sec": measured["made_sec"],
        "snr_db": measured["snr_db"],
        "latency": latencies,
    }
    if measured["peak_bytes"]:
        row["peak_memory_mib"] = measured["peak_bytes"] / 2**20
    return row


def _case_key(row: Row) -> tuple[Any, ...]:
    return row["model"], row["batch_size"], row["length"], row["denoising"] > 0


def _is_half_torchscript(row: Row) -> bool:
    return bool(row["way"].startswith("TorchScript") and row["precision"] in ("fp16", "bf16"))


def _compute_speed_up(row: Row, bases: Sequence[Row]) -> float | None:
    """Return the median over rounds of the base's time over the row's, or None without another base."""
    if not bases or bases[0] is row:
        return None
    base, other = bases[0]["latency"], row["latency"]
    if len(base) != len(other):  # of different stages
        return float(np.median(base) / np.median(other))
    return float(np.median(np.divide(base, other)))
