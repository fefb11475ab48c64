"""Draw loss and throughput curves of one or several training runs: `python -m common.plot_log nvlog.json ...`."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.cli import ArgumentParser, run
from common.errors import InputError
from common.files.dllogger_lines import read_json_lines

if TYPE_CHECKING:
    import numpy as np

# Title -> logged metric, and whether its axis is logarithmic. Further losses follow under their own names.
PANELS = {
    "validation mel loss": ("val_mel_loss", False),
    "training mel loss": ("train_mel_loss", False),
    "generator loss": ("train_g_loss", False),
    "discriminator loss": ("train_d_loss", True),
    "throughput (mel frames/s)": ("train_frames/s", False),
    "alignment loss": ("train_alignment_loss", False),
    "binarisation loss": ("train_binarization_loss", False),
    "duration loss": ("train_duration_loss", True),
    "pitch loss": ("train_pitch_loss", False),
    "energy loss": ("train_energy_loss", False),
    "learning rate": ("train_lrate_gen", False),
    "learning rate of FastPitch": ("train_lrate", False),
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(
        prog="common.plot_log", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("logs", nargs="+", help="nvlog.json files, or run directories that contain one")
    parser.add_argument("-o", "--output", default="curves.png", help="PNG file to write")
    parser.add_argument("--labels", nargs="+", help="names of the runs in the legend")
    parser.add_argument("--smooth", type=int, default=20, help="logged steps in the average of training curves")
    args = parser.parse_args(argv)
    paths = [Path(log) / "nvlog.json" if Path(log).is_dir() else Path(log) for log in args.logs]
    names = [path.resolve().parent.name for path in paths]
    # Runs in directories of the same name are labelled with their full paths.
    labels = args.labels or [
        name if names.count(name) == 1 else str(path.parent) for name, path in zip(names, paths, strict=True)
    ]
    if len(labels) != len(paths):
        raise InputError(f"--labels: {len(labels)} names for {len(paths)} logs")
    if args.smooth < 1:
        raise InputError(f"--smooth: {args.smooth} is not above 0")
    runs = [(label, read_curves(path)) for label, path in zip(labels, paths, strict=True)]
    draw(runs, Path(args.output), args.smooth)
    print(f"{args.output}: curves of {', '.join(labels)}")
    return 0


Curves = dict[str, tuple[list[float], list[float]]]  # metric -> (epochs, values)


def read_curves(path: Path) -> Curves:
    """Return all metrics of a DLLogger file over the epoch, which is fractional for metrics of optimiser steps.

    A resumed run may have logged a step twice. The later value counts.

    Raises:
        FileNotFoundError: no such file.
        InputError: not a DLLogger file, or a log without training steps.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such log; a training run writes nvlog.json into its --output")
    found: dict[str, dict[float, float]] = {}
    for step, data in read_json_lines(path):
        if isinstance(step, list) and step:
            epoch = step[0] - 1 + step[1] / step[2] if len(step) == 3 else step[0]
            for name, value in data.items():
                found.setdefault(name, {})[epoch] = value
    if not found:
        raise InputError(f"{path}: the log has no training steps yet")
    return {name: (sorted(values), [values[epoch] for epoch in sorted(values)]) for name, values in found.items()}


def smoothed(values: Sequence[float], window: int) -> np.ndarray:
    """Return the mean of each value and up to `window` - 1 values before it, ignoring NaN."""
    import numpy as np  # not needed by --help

    finite = np.isfinite(values)
    sums = np.cumsum(np.concatenate([[0.0], np.where(finite, values, 0.0)]))
    counts = np.cumsum(np.concatenate([[0], finite]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    number = counts[ends] - counts[starts]
    return np.where(number > 0, (sums[ends] - sums[starts]) / np.maximum(number, 1), np.nan)


def import_matplotlib() -> Any:
    """Import matplotlib whatever the variable MPLBACKEND asks for.

    Notebooks set it for the programs that they start, too, and without their package matplotlib cannot be imported.
    """
    asked = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib.backends.backend_agg
        import matplotlib.figure
    finally:
        if asked is not None:
            os.environ["MPLBACKEND"] = asked
    if asked is not None:
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = asked  # for a notebook that plots as well
    return matplotlib


def new_figure(width: float, height: float) -> Any:
    """Return a matplotlib figure of this size in inches, which is only written to files."""
    matplotlib = import_matplotlib()
    figure = matplotlib.figure.Figure(figsize=(width, height), layout="constrained")
    matplotlib.backends.backend_agg.FigureCanvasAgg(figure)
    return figure


def draw(runs: Sequence[tuple[str, Curves]], output: Path, window: int) -> None:
    """Write a PNG with one panel for each metric and one line for each run."""
    panels = _choose_panels([curves for _, curves in runs])
    rows = -(-len(panels) // 2)
    figure = new_figure(12, 3.4 * rows)
    for i, (title, (metric, logarithmic)) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, 2, i)
        for label, curves in runs:
            if metric in curves:
                epochs, values = curves[metric]
                is_step_metric = metric.startswith("train_")
                shown = smoothed(values, window) if is_step_metric else values
                (line,) = axes.plot(epochs, shown, label=label, marker="" if is_step_metric else ".")
                if metric == "val_mel_loss" and "val_ema_mel_loss" in curves:
                    average = curves["val_ema_mel_loss"]
                    axes.plot(*average, "--", color=line.get_color(), label=f"{label}, moving average")
        axes.set(title=title, xlabel="epoch", yscale="log" if logarithmic else "linear")
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=100, format="png")


def _choose_panels(runs: Sequence[Curves]) -> dict[str, tuple[str, bool]]:
    """Return the panels that have a curve, including one for each training loss that `PANELS` does not list."""
    logged = dict.fromkeys(metric for curves in runs for metric in curves)
    listed = {metric for metric, _ in PANELS.values()}
    losses = [m for m in logged if m.startswith("train_") and m.endswith("_loss") and m not in {*listed, "train_loss"}]
    further = {metric.removeprefix("train_").replace("_", " "): (metric, False) for metric in losses}
    return {title: panel for title, panel in {**PANELS, **further}.items() if panel[0] in logged}


if __name__ == "__main__":
    run(main, "common.plot_log")
