"""Report of the inference benchmark: Markdown tables, JSON, and a plot."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inference.figures import InferenceResults, Row
from benchmarks.inference.quality import MAX_MEL_CHANGE_PERCENT, MIN_SNR_DB, Quality
from benchmarks.journal import plain
from common.files.atomic import write_whole
from common.machine import hardware
from common.markdown import table
from common.plot_log import new_figure

log = logging.getLogger(__name__)

NAME = "inference_benchmark"
PICTURE = "latency.png"
COLUMNS = (
    "Batch size",
    "Precision",
    "Avg latency (s)",
    "Median latency (s)",
    "Latency 90% (s)",
    "Latency 95% (s)",
    "Latency 99% (s)",
    "Throughput (samples/s)",
    "Speed-up",
    "Avg RTF",
    "Of limit (%)",
    "SNR (dB)",
    "Made in (s)",
    "First call (s)",
)
MEMORY = "Memory (MiB)"
SUMMARY_COLUMNS = ("Way", "Median latency (s)", "Speed-up", "Over TorchScript half", "Of limit (%)", "First call (s)")
QUALITY_COLUMNS = ("Mean SNR (dB)", "Lowest SNR (dB)", "Mel loss", "Mel loss change (%)", "Gate")
START_COLUMNS = ("Model", "inference.py", "First audio after (s)", "Peak memory of the process (MiB)")
NOTES = (
    "Percentiles are of the measured latencies. Throughput: audio samples per second, without padding. RTF: seconds of "
    "speech synthesised per second, per utterance of the batch. Speed-up: time of eager fp32 (second column: of "
    "TorchScript in half precision) divided by the row's, for the same batch, length and denoising; the median of the "
    "ratios within the rounds. Of limit: the generator's arithmetic per second of its median time, in percent of the "
    "rate of the fastest large matrix product of that precision. SNR: of the first call's audio, relative to eager "
    "fp32. Made in: time to compile, capture or export the way. First call: libraries choose kernels, TorchScript "
    "compiles, and graphs are captured."
)
GATE_NOTE = (
    f"Gate, on real speech and against eager fp32: an SNR of at least {MIN_SNR_DB:g} dB on each clip, and a mean mel "
    f"loss (L1 of log-mels up to the Nyquist frequency, to the recording) within {MAX_MEL_CHANGE_PERCENT:g} %."
)
MEMORY_NOTE = " Memory: the peak that the row itself allocated on the GPU, without the weights."


def write(folder: Path, results: InferenceResults) -> str:
    """Write the tables and the JSON file. Return the tables. The plot follows, see `write_picture`."""
    text = markdown(results)
    files = {f"{NAME}.json": json.dumps(plain(_to_plain(results)), indent=1).encode(), f"{NAME}.md": text.encode()}
    for name, content in files.items():
        write_whole(folder / name, content)
    log.debug("written: %s", ", ".join(str(folder / name) for name in files))
    return text


def write_picture(folder: Path, results: InferenceResults) -> None:
    """Draw and write the plot, last of all: whatever goes wrong must not cost hours of measurement."""
    write_whole(folder / PICTURE, draw_picture(results.rows))
    log.info("written: %s", folder / PICTURE)


def markdown(results: InferenceResults) -> str:
    """Return the report: header, a summary and tables per model, start-up, and plot."""
    has_memory = any("peak_memory_mib" in row for row in results.rows)
    lines = ["# Inference benchmark", "", *hardware.markdown(results.header), ""]
    lines += [NOTES + MEMORY_NOTE * has_memory, "", GATE_NOTE]
    for model in dict.fromkeys(row["model"] for row in results.rows):
        lines += _summarise(model, results)
        lines += _tables(model, results.rows, (*COLUMNS, MEMORY) if has_memory else COLUMNS)
    if results.starts:
        lines += [
            "",
            "## Start-up",
            "",
            "Time of a fresh process for one utterance, from its start to the wav file.",
            "",
        ]
        start_rows = [
            (model, start.way or "-", f"{np.median(start.seconds):.2f}", _mib(start.peak_mib))
            for model, starts in results.starts.items()
            for start in starts
        ]
        lines += table(START_COLUMNS, start_rows)
    lines += ["", *(f"- Failed: {words}" for words in results.failures)] if results.failures else []
    return "\n".join([*lines, "", f"![Latency against batch size and length]({PICTURE})", ""])


def _summarise(model: str, results: InferenceResults) -> list[str]:
    """Return a table of the smallest batch at the main length, with the results of the quality gate."""
    rows = [row for row in results.rows if row["model"] == model and row["length"] == 0 and not row["denoising"]]
    if not rows:
        return ["", f"## {model}"]
    smallest = min(row["batch_size"] for row in rows)
    rows = [row for row in rows if row["batch_size"] == smallest]
    quality = results.quality.get(model, {})
    lines = ["", f"## {model}: {rows[0]['audio_sec']:.2f} s, batch size {smallest}", ""]
    summaries = []
    for row in rows:
        cells = [row["way"], f"{row['latency_50%']:.4f}", _ratio(row["speed-up"])]
        cells += [_ratio(row["over_torchscript_half"]), _percent(row["share_of_limit"]), f"{row['first_sec']:.2f}"]
        summaries.append([*cells, *(_format_quality(quality.get(row["way"])) if quality else [])])
    lines += table((*SUMMARY_COLUMNS, *(QUALITY_COLUMNS if quality else ())), summaries)
    if not quality:
        lines += ["", "The quality gate was not applied: it needs trained weights, and recordings (`--wavs`)."]
    return lines


def _tables(model: str, rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    lines = []
    lengths = sorted({(row["length"], row["denoising"] > 0) for row in rows if row["model"] == model})
    for length, denoised in lengths:
        chosen = [
            row for row in rows if (row["model"], row["length"], row["denoising"] > 0) == (model, length, denoised)
        ]
        strengths = sorted({row["denoising"] for row in chosen})
        title = f"denoising ({', '.join(f'{strength:g}' for strength in strengths)})" if denoised else "no denoising"
        lines += ["", f"### {model}, {title}, utterances of {chosen[0]['audio_sec']:.2f} s", ""]
        ways = dict.fromkeys(row["way"] for row in chosen)
        lines += table(columns, [format_cells(row) for way in ways for row in chosen if row["way"] == way])
    return lines


def format_cells(row: Row) -> list[str]:
    """Return the cells of a row in the order of `COLUMNS`, and of `MEMORY` if it was measured."""
    return [
        str(row["batch_size"]),
        row["way"],
        *(f"{row[f'latency_{name}']:.4f}" for name in ("avg", "50%", "90%", "95%", "99%")),
        f"{row['throughput']:.0f}",
        _ratio(row["speed-up"]),
        f"{row['RTF']:.2f}",
        _percent(row["share_of_limit"]),
        _decibels(row["snr_db"]),
        f"{row['made_sec']:.2f}",
        f"{row['first_sec']:.2f}",
        *([f"{row['peak_memory_mib']:.0f}"] if "peak_memory_mib" in row else []),
    ]


def json_block(results: InferenceResults) -> str:
    """Return the JSON content without single latencies as a block of Markdown, one line per row."""
    content = plain(_to_plain(results))
    short = [json.dumps({name: value for name, value in row.items() if name != "latency"}) for row in content["rows"]]
    others = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in content.items() if name != "rows"]
    return "\n".join(["```json", "{" + ",\n".join(others) + ",", '"rows": [', ",\n".join(short), "]}", "```", ""])


def _to_plain(results: InferenceResults) -> dict[str, Any]:
    content = dataclasses.asdict(results)
    for model, ways in results.quality.items():
        for way, quality in ways.items():
            content["quality"][model][way]["passes"] = quality.passes
    return content


def _format_quality(quality: Quality | None) -> list[str]:
    if quality is None:
        return ["-"] * len(QUALITY_COLUMNS)
    return [
        "-" if quality.snr_db is None else f"{quality.snr_db:.1f}",
        "-" if quality.lowest_snr_db is None else f"{quality.lowest_snr_db:.1f}",
        f"{quality.mel_loss:.4f}",
        f"{quality.mel_change_percent:+.2f}",
        "pass" if quality.passes else "FAIL",
    ]


def _decibels(value: float | str | None) -> str:
    """Format an SNR. In the journal, infinite and NaN are words."""
    if value is None or value == "inf":
        return "-"
    return "NOT FINITE" if value == "nan" else f"{value:.1f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _mib(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def draw_picture(rows: Sequence[Row]) -> bytes:
    """Return a PNG with one row per model: latency without a denoiser against batch size, and against length.

    Lines are medians, shaded up to the 90th percentile. Lengths are compared at the smallest batch size.
    """
    models = list(dict.fromkeys(row["model"] for row in rows if not row["denoising"] and row["length"] == 0))
    figure = new_figure(12, 4.8 * len(models))
    ways = list(dict.fromkeys(row["way"] for row in rows))
    for number, model in enumerate(models):
        plain_rows = [row for row in rows if row["model"] == model and not row["denoising"]]
        smallest = min(row["batch_size"] for row in plain_rows)
        length = next(row["audio_sec"] for row in plain_rows if row["length"] == 0)
        panels = (
            ("batch_size", f"{length:.2f} s", "batch size", [row for row in plain_rows if row["length"] == 0]),
            (
                "audio_sec",
                f"batch {smallest}",
                "length (s)",
                [row for row in plain_rows if row["batch_size"] == smallest],
            ),
        )
        for side, (key, title, label, belonging) in enumerate(panels, 1):
            axes = figure.add_subplot(len(models), 2, 2 * number + side)
            for way in dict.fromkeys(row["way"] for row in belonging):
                points = sorted((row for row in belonging if row["way"] == way), key=lambda row: row[key])
                x = [row[key] for row in points]
                medians, slow = ([row[f"latency_{name}"] for row in points] for name in ("50%", "90%"))
                colour = f"C{ways.index(way)}" if ways.index(way) < 10 else None
                (line,) = axes.plot(x, medians, "o-", label=way, color=colour, markersize=4)
                axes.fill_between(x, medians, slow, color=line.get_color(), alpha=0.1)
            axes.set(title=f"{model}, {title}: median, shaded up to 90 %", xlabel=label, ylabel="latency (s)", xlim=0)
            axes.set_ylim(0, 1.1 * max(row["latency_90%"] for row in belonging))
            axes.grid(alpha=0.3)
            if side == 1:
                axes.set_xticks(sorted({row["batch_size"] for row in belonging}))
        figure.axes[2 * number].legend()
    encoded = io.BytesIO()
    figure.savefig(encoded, dpi=100, format="png")
    return encoded.getvalue()
