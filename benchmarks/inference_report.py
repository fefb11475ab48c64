"""What the inference benchmark measured: figures, Markdown tables, JSON, a plot."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.inference_rounds import Case, Measured, Variant
from common.audio import AudioConfig
from common.files import write_whole
from common.timing import latency_summary

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
)
NOTES = (
    "Percentiles are those of the measured latencies. Throughput: audio samples, without padding, per second. RTF: "
    "seconds of speech made in a second, per utterance of the batch. Speed-up (of mixed precision, the engine and "
    "exported files): median latency of the checkpoint in {base} ({kind}) divided by that of the row, of the same "
    "rounds and batch, both with denoising or both without."
)
Row = dict[str, Any]


def summarised(
    variants: Sequence[Variant],
    cases: Sequence[Case],
    measured: Sequence[Sequence[Measured]],
    audio: AudioConfig,
    speaks: bool,
) -> list[Row]:
    """The figures of each case and variant, in this order; the first variant is what speed-ups are relative to."""
    rows: list[Row] = []
    for case, of_case in zip(cases, measured, strict=True):
        base: dict[bool, float] = {}  # with denoising or without -> median latency
        for variant, figures in zip(variants, of_case, strict=True):
            row = _figures(figures, len(case.inputs), audio, speaks)
            median = row["latency_50%"]
            is_base = variant.precision == variants[0].precision
            if is_base:
                base[variant.denoising > 0] = median
            reference = base.get(variant.denoising > 0)
            rows.append(
                {
                    "batch_size": len(case.inputs),
                    "in_tables": case.in_tables,
                    "precision": variant.precision,
                    "denoising": variant.denoising,
                    "speed-up": None if is_base or reference is None else reference / median,
                    **row,
                }
            )
    return rows


def _figures(measured: Measured, batch_size: int, audio: AudioConfig, speaks: bool) -> Row:
    latencies = [sum(parts) for parts in zip(measured.speaking_sec, measured.vocoding_sec, strict=True)]
    if not speaks:
        latencies = measured.vocoding_sec
    samples = measured.frames * audio.hop_length
    row: Row = {"audio_sec": samples / audio.sampling_rate / len(latencies) / batch_size}
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


def write(folder: Path, header: Mapping[str, str], rows: Sequence[Row], torchscript: bool) -> str:
    """Writes the tables, the JSON file and the plot; returns the tables."""
    text = markdown(header, rows, torchscript)
    files = {
        f"{NAME}.json": json.dumps({"header": dict(header), "rows": list(rows)}, indent=1).encode(),
        PICTURE: picture(rows),
        f"{NAME}.md": text.encode(),
    }
    for name, content in files.items():
        write_whole(folder / name, content)
    log.info("written: %s", ", ".join(str(folder / name) for name in files))
    return text


def markdown(header: Mapping[str, str], rows: Sequence[Row], torchscript: bool) -> str:
    """The header as a list, one table with denoising, one without, and the plot."""
    lines = ["# Inference benchmark", ""]
    lines += machine.markdown(header)
    if peak := max(row.get("peak_memory_mib", 0) for row in rows):
        lines.append(f"- GPU memory: at most {peak:.0f} MiB allocated")
    kind = "TorchScript" if torchscript else "eager"
    lines += ["", NOTES.format(base=rows[0]["precision"], kind=kind)]
    precisions = list(dict.fromkeys(row["precision"] for row in rows))
    for denoised in (True, False):
        chosen = [row for row in rows if row["in_tables"] and (row["denoising"] > 0) == denoised]
        if not chosen:
            continue
        strengths = sorted({row["denoising"] for row in chosen})
        title = f"denoising ({', '.join(f'{strength:g}' for strength in strengths)})" if denoised else "no denoising"
        seconds = f"{chosen[0]['audio_sec']:.2f} s"
        lines += [
            "",
            f"## {kind[0].upper()}{kind[1:]}, {title}, utterances of {seconds}",
            "",
            _line(COLUMNS),
            "|" + "---|" * len(COLUMNS),
        ]
        lines += [_line(cells(row)) for precision in precisions for row in chosen if row["precision"] == precision]
    lines += ["", f"![Latency against batch size and length]({PICTURE})", ""]
    return "\n".join(lines)


def cells(row: Row) -> list[str]:
    """A row of the tables, in the order of `COLUMNS`."""
    return [
        str(row["batch_size"]),
        row["precision"],
        *(f"{row[f'latency_{name}']:.4f}" for name in ("avg", "50%", "90%", "95%", "99%")),
        f"{row['throughput']:.0f}",
        "-" if row["speed-up"] is None else f"{row['speed-up']:.2f}",
        f"{row['RTF']:.2f}",
    ]


def json_block(header: Mapping[str, str], rows: Sequence[Row]) -> str:
    """What the JSON file has, but for the single latencies, a row a line, as a block of Markdown."""
    short = [json.dumps({name: value for name, value in row.items() if name != "latency"}) for row in rows]
    lines = ["```json", '{"header": ' + json.dumps(dict(header)) + ",", '"rows": [', ",\n".join(short), "]}", "```", ""]
    return "\n".join(lines)


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"


def picture(rows: Sequence[Row]) -> bytes:
    """A PNG: median latency against batch size and, at the smallest one, against length; up to the 90 % percentile."""
    from matplotlib.figure import Figure

    smallest = min(row["batch_size"] for row in rows)
    length = next(row["audio_sec"] for row in rows if row["in_tables"])
    panels = (
        ("batch_size", f"utterances of {length:.2f} s", "batch size", lambda row: row["in_tables"]),
        ("audio_sec", f"batch size {smallest}", "length (s)", lambda row: row["batch_size"] == smallest),
    )
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    precisions = list(dict.fromkeys(row["precision"] for row in rows))
    for i, (key, title, label, belongs) in enumerate(panels, 1):
        axes = figure.add_subplot(1, 2, i)
        for denoised in (False, True):
            for number, precision in enumerate(precisions):
                points = [
                    row
                    for row in rows
                    if belongs(row) and (row["precision"], row["denoising"] > 0) == (precision, denoised)
                ]
                points.sort(key=lambda row: row[key])
                x = [row[key] for row in points]
                name = precision + ", denoised" * denoised
                medians = [row["latency_50%"] for row in points]
                slow = [row["latency_90%"] for row in points]
                if points:
                    axes.plot(x, medians, "o--" if denoised else "s-", label=name, color=f"C{number}", markersize=4)
                    axes.fill_between(x, medians, slow, color=f"C{number}", alpha=0.1)
        axes.set(title=f"{title}: median, shaded up to 90 %", xlabel=label, ylabel="latency (s)", xlim=0)
        axes.set_ylim(0, 1.1 * max(row["latency_90%"] for row in rows if belongs(row)))
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.axes[0].set_xticks(sorted({row["batch_size"] for row in rows}))
    encoded = io.BytesIO()
    figure.savefig(encoded, dpi=100, format="png")
    return encoded.getvalue()
