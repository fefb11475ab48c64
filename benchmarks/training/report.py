"""Results of the training benchmark: figures of each variant, and tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from common.machine import hardware
from common.markdown import table

NOTES = (
    "Medians of the bursts. Speed-up: seconds of the plain recipe in the same precision, or in full precision, divided "
    "by the seconds of the row, as the median of the ratios of consecutive bursts; likewise for processor time, "
    "which is steadier on a shared CPU. True frames are frames of the input mel. Share of the peak: operations of "
    " a step divided by its seconds and by the rate of a large matrix product in the same precision and "
    "process. Agreement: the largest relative difference of the losses from the plain recipe in the same precision, "
    "over the first steps. Each part is timed separately, forward and backward as in both optimiser steps."
)


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


def result_rows(
    courses: Sequence[Course], flop: int, compared: int, config: str, batch_size: int, segment: int
) -> list[dict[str, Any]]:
    """Return a row of figures for each variant of one case, first the plain recipe in full precision.

    Args:
        flop: floating-point operations of a step.
        compared: first steps whose losses are compared.
    """
    rows = []
    for course in courses:
        plain = next(other for other in courses if (other.precision, other.fast) == (course.precision, "off"))
        median = float(np.median(course.seconds))
        steps = min(compared, len(course.losses), len(plain.losses))
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
                "peak_memory_mib": course.peak_bytes / 2**20,
                "gflop_per_segment": flop / batch_size / 1e9,
                "matmul_gflops": course.matmul_flops / 1e9,
                "share_of_peak": flop / median / course.matmul_flops,
                "agreement": agreement(plain.losses, course.losses, steps) if steps and course is not plain else None,
                "compared_steps": steps,
                "parts_sec": {
                    part: float(np.median([parts[part] for parts in course.parts])) for part in course.parts[0]
                },
            }
        )
    return rows


def ratio(plain: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the median speed-up over consecutive bursts."""
    both = min(len(plain), len(seconds))
    return float(np.median(np.divide(plain[:both], seconds[:both])))


def agreement(plain: Sequence[Sequence[float]], losses: Sequence[Sequence[float]], steps: int) -> float:
    """Return the largest relative difference of two courses of losses [steps, losses]."""
    expected, actual = np.asarray(plain[:steps]), np.asarray(losses[:steps])
    return float((np.abs(actual - expected) / np.abs(expected)).max())


def markdown(
    header: dict[str, str],
    rows: Sequence[dict[str, Any]],
    layer_ways: Sequence[dict[str, Any]] = (),
    left_out: Sequence[str] = (),
) -> str:
    """Format the whole report.

    Args:
        layer_ways: for batch size and precision, the seconds of all ways to compute each layer.
        left_out: cases that were not measured, and why.
    """
    lines = ["# Training benchmark", "", *hardware.markdown(header), "", NOTES]
    for config, size in dict.fromkeys((row["config"], row["batch_size"]) for row in rows):
        chosen = [row for row in rows if (row["config"], row["batch_size"]) == (config, size)]
        lines += ["", f"## {config}, batch {size}", ""]
        lines.append(
            f"{chosen[0]['gflop_per_segment']:.1f} GFLOP per segment. Losses compared over "
            f"{chosen[0]['compared_steps']} steps."
        )
        columns = [
            "Precision",
            "--fast",
            "CUDA graphs",
            "Seconds a step",
            "Segments/s",
            "True frames/s",
            "Speed-up",
            "Over full",
        ]
        columns += ["Processor time: speed-up", "Over full", "Peak memory (MiB)", "Share of peak", "Agreement"]
        cells = [
            (
                row["precision"],
                row["fast"],
                "yes" if row["cuda_graphs"] else "no",
                f"{np.median(row['seconds']):.4f}",
                f"{row['segments/s']:.2f}",
                f"{row['frames/s']:.1f}",
                f"{row['speed-up']:.2f}",
                f"{row['speed-up over full precision']:.2f}",
                f"{row['speed-up of processor time']:.2f}",
                f"{row['speed-up of processor time over full precision']:.2f}",
                f"{row['peak_memory_mib']:.0f}",
                f"{row['share_of_peak']:.1%} of {row['matmul_gflops']:.0f} GFLOP/s",
                "-" if row["agreement"] is None else f"{row['agreement']:.1e}",
            )
            for row in chosen
        ]
        lines += ["", *table(columns, cells), "", "Seconds of the parts of a step:", ""]
        in_parts = [
            (row["precision"], row["fast"], *(f"{sec:.4f}" for sec in row["parts_sec"].values())) for row in chosen
        ]
        lines += table(("Precision", "--fast", *chosen[0]["parts_sec"]), in_parts)
    for block in layer_ways:
        lines += ["", f"## Layers, batch {block['batch_size']} for real and fake together, {block['precision']}", ""]
        lines.append("Milliseconds of ways to compute the discriminators' layers, forward and backward.")
        names = list(dict.fromkeys(name for seconds in block["layers"].values() for name in seconds))
        lines += ["", *table(["Layer", *names], [layer_cells(layer, s, names) for layer, s in block["layers"].items()])]
    lines += ["", *(f"Not measured: {words}" for words in left_out)] if left_out else []
    return "\n".join([*lines, ""])


def layer_cells(layer: str, seconds: dict[str, float | None], names: Sequence[str]) -> list[str]:
    """Return a row of the table of layers: the fastest way in bold, "-" where a way is missing or failed."""
    best = min((sec for sec in seconds.values() if sec is not None), default=None)
    cells = [layer]
    for sec in map(seconds.get, names):
        cells.append("-" if sec is None else f"**{1e3 * sec:.3f}**" if sec == best else f"{1e3 * sec:.3f}")
    return cells
