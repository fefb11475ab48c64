"""Results of the training benchmark: figures of each variant, and tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from common.machine import hardware
from common.markdown import table

NOTES = (
    "Medians of the bursts. Speed-up: seconds of the plain recipe in the same precision, or in full precision, divided "
    "by the seconds of the row, as the median of the ratios of consecutive bursts; likewise for processor time, "
    "which is steadier on a shared CPU. True frames are frames of the input mel. Share of the peak: operations of "
    "a step divided by its seconds and by the rate of the fastest large matrix product in the same precision and "
    "process, TF32 against TF32. Agreement: the largest relative difference of the losses from the plain recipe in the "
    "same precision, over the first steps. Start: making models and loader. First step: libraries choose and compile "
    "kernels. Recorded: from the first step to the end of the one that became a CUDA graph. Each part is timed "
    "separately, forward and backward as in both optimiser steps."
)

MOST_SKIPPED_STEPS = 16  # halvings of the first loss scale


@dataclasses.dataclass
class Course:
    """Measurements of one variant: seconds of a step by the clock and of the processor in each burst, and losses."""

    precision: str
    fast: str
    matmul_flops: float = 0.0
    seconds: list[float] = dataclasses.field(default_factory=list)
    processor_sec: list[float] = dataclasses.field(default_factory=list)
    losses: list[list[float]] = dataclasses.field(default_factory=list)
    parts: list[dict[str, float]] = dataclasses.field(default_factory=list)
    peak_bytes: int = 0
    graphs: bool = False  # whether its steps became CUDA graphs
    start_sec: float = 0.0
    first_step_sec: float = 0.0
    recorded_sec: float | None = None


def result_rows(
    courses: Sequence[Course], flop: int, compared: int, config: str, batch_size: int, segment: int
) -> list[dict[str, Any]]:
    """Return a row of figures for each variant of one case that was measured.

    Args:
        courses: all variants, first the plain recipe in full precision. Any may lack measurements.
        flop: floating-point operations of a step, or 0 if unknown.
        compared: first steps whose losses are compared.
    """
    rows = []
    for course in courses:
        if not course.seconds:
            continue
        plain = next(other for other in courses if (other.precision, other.fast) == (course.precision, "off"))
        median = float(np.median(course.seconds))
        steps = min(compared, len(course.losses), len(plain.losses))
        comparable = bool(steps) and course is not plain and is_finite(course) and is_finite(plain)
        rows.append(
            {
                "config": config,
                "batch_size": batch_size,
                "precision": course.precision,
                "fast": course.fast,
                "seconds": course.seconds,
                "processor_sec": course.processor_sec,
                "speed-up of processor time": ratio(plain.processor_sec, course.processor_sec),
                "speed-up of processor time over full precision": ratio(courses[0].processor_sec, course.processor_sec),
                "segments/s": batch_size / median,
                "frames/s": batch_size * segment // 256 / median,
                "speed-up": ratio(plain.seconds, course.seconds),
                "speed-up over full precision": ratio(courses[0].seconds, course.seconds),
                "cuda_graphs": course.graphs,
                "start_sec": course.start_sec,
                "first_step_sec": course.first_step_sec,
                "recorded_sec": course.recorded_sec,
                "peak_memory_mib": course.peak_bytes / 2**20,
                "gflop_per_segment": flop / batch_size / 1e9,
                "matmul_gflops": course.matmul_flops / 1e9,
                "share_of_peak": flop / median / course.matmul_flops if flop and course.matmul_flops else None,
                "finite": is_finite(course),
                "agreement": agreement(plain.losses, course.losses, steps) if comparable else None,
                "compared_steps": steps,
                "parts_sec": {
                    part: float(np.median([parts[part] for parts in course.parts]))
                    for part in (course.parts[0] if course.parts else ())
                },
            }
        )
    return rows


def ratio(plain: Sequence[float], seconds: Sequence[float]) -> float | None:
    """Return the median speed-up over consecutive bursts, or None if the plain recipe was not measured."""
    both = min(len(plain), len(seconds))
    return float(np.median(np.divide(plain[:both], seconds[:both]))) if both else None


def is_finite(course: Course) -> bool:
    """Return whether all losses of a course are finite, but for steps that loss scaling may skip to find its scale.

    A skipped step has NaN.
    """
    finite = np.isfinite(np.asarray(course.losses)).all(axis=1)
    skips = int(np.sum(~finite))
    return bool(finite[-1]) and skips <= (MOST_SKIPPED_STEPS if course.precision.startswith("fp16") else 0)


def agreement(plain: Sequence[Sequence[float]], losses: Sequence[Sequence[float]], steps: int) -> float | None:
    """Return the largest relative difference of two courses of losses [steps, losses].

    Steps that both skipped do not count, nor do those after a step that only one skipped. Without any other: None.
    """
    expected, actual = np.asarray(plain[:steps]), np.asarray(losses[:steps])
    finite, other = (np.isfinite(course).all(axis=1) for course in (expected, actual))
    counts = finite & other & np.logical_and.accumulate(finite == other)
    if not counts.any():
        return None
    return float((np.abs(actual[counts] - expected[counts]) / np.abs(expected[counts])).max())


def _number(name: str, digits: int) -> Callable[[dict[str, Any]], str]:
    return lambda row: "-" if row[name] is None else f"{row[name]:.{digits}f}"


def _share(row: dict[str, Any]) -> str:
    share = row["share_of_peak"]
    return "-" if share is None else f"{share:.1%} of {row['matmul_gflops']:.0f} GFLOP/s"


def _agreement(row: dict[str, Any]) -> str:
    if not row["finite"]:
        return "NOT FINITE"
    return "-" if row["agreement"] is None else f"{row['agreement']:.1e}"


# Title of each column, and the cell of a row.
COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "Precision": lambda row: row["precision"],
    "--fast": lambda row: row["fast"],
    "CUDA graphs": lambda row: "yes" if row["cuda_graphs"] else "no",
    "Seconds a step": lambda row: f"{np.median(row['seconds']):.4f}",
    "Segments/s": _number("segments/s", 2),
    "True frames/s": _number("frames/s", 1),
    "Speed-up": _number("speed-up", 2),
    "Over full": _number("speed-up over full precision", 2),
    "Processor time: speed-up": _number("speed-up of processor time", 2),
    "Processor time: over full": _number("speed-up of processor time over full precision", 2),
    "Peak memory (MiB)": _number("peak_memory_mib", 0),
    "Share of peak": _share,
    "Agreement": _agreement,
    "Start (s)": _number("start_sec", 1),
    "First step (s)": _number("first_step_sec", 2),
    "Recorded (s)": _number("recorded_sec", 2),
}


def markdown(
    header: dict[str, str],
    rows: Sequence[dict[str, Any]],
    layer_ways: Sequence[dict[str, Any]] = (),
    left_out: Sequence[str] = (),
) -> str:
    """Format the whole report.

    Args:
        layer_ways: for batch size and precision, the seconds of all ways to compute each layer.
        left_out: what was not measured or failed, and why.
    """
    lines = ["# Training benchmark", "", *hardware.markdown(header), "", NOTES]
    for config, size in dict.fromkeys((row["config"], row["batch_size"]) for row in rows):
        chosen = [row for row in rows if (row["config"], row["batch_size"]) == (config, size)]
        lines += ["", f"## {config}, batch {size}", ""]
        lines.append(
            f"{chosen[0]['gflop_per_segment']:.1f} GFLOP per segment. Losses compared over "
            f"{max(row['compared_steps'] for row in chosen)} steps."
        )
        lines += ["", *table(list(COLUMNS), [[cell(row) for cell in COLUMNS.values()] for row in chosen])]
        with_parts = [row for row in chosen if row["parts_sec"]]
        if with_parts:
            in_parts = [
                (row["precision"], row["fast"], *(f"{sec:.4f}" for sec in row["parts_sec"].values()))
                for row in with_parts
            ]
            lines += ["", "Seconds of the parts of a step:", ""]
            lines += table(("Precision", "--fast", *with_parts[0]["parts_sec"]), in_parts)
    for block in layer_ways:
        lines += ["", f"## Layers, batch {block['batch_size']} for real and fake together, {block['precision']}", ""]
        lines.append("Milliseconds of ways to compute the discriminators' layers, forward and backward.")
        names = list(dict.fromkeys(name for seconds in block["layers"].values() for name in seconds))
        lines += ["", *table(["Layer", *names], [layer_cells(layer, s, names) for layer, s in block["layers"].items()])]
    lines += ["", *(f"- Not measured, or failed: {words}" for words in left_out)] if left_out else []
    return "\n".join([*lines, ""])


def layer_cells(layer: str, seconds: dict[str, float | None], names: Sequence[str]) -> list[str]:
    """Return a row of the table of layers: the fastest way in bold, "-" where a way is missing or failed."""
    best = min((sec for sec in seconds.values() if sec is not None), default=None)
    cells = [layer]
    for sec in map(seconds.get, names):
        cells.append("-" if sec is None else f"**{1e3 * sec:.3f}**" if sec == best else f"{1e3 * sec:.3f}")
    return cells
