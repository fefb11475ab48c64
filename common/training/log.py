"""Logs of a training run: DLLogger lines, stdout and TensorBoard. No other module imports TensorBoard's writer."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.audio import SILENCE
from common.files.dllogger_lines import open_json_lines

SUBSETS = ("train", "val", "test")
# Losses on stdout, in this order. None hides a loss there, and `_format_loss` formats losses without an entry.
_LOSSES = {
    "loss": "loss {:>6.3f}",
    "d_loss": "d loss {:>6.3f}",
    "g_loss": "g loss {:>6.3f}",
    "mel_loss": "mel loss {:>6.3f}",
    "ema_mel_loss": "ema mel loss {:>6.3f}",
    "duration_loss": "dur loss {:>5.3f}",
    "pitch_loss": "pitch loss {:>5.3f}",
    "alignment_loss": "align loss {:>5.3f}",
    "energy_loss": None,
    "binarization_loss": None,
}
# Then these. All other metrics go to the files only.
_OTHERS = {
    "frames/s": "{:>8.2f} frames/s",
    "took": "took {:.2f} s",
    "lrate": "lr {:.2e}",
    "lrate_gen": "g lr {:.2e}",
    "lrate_discrim": "d lr {:.2e}",
}


class RunLog:
    """Log of a run, silent on all processes except the main one.

    Args:
        output: the run's directory. TensorBoard files go to its `train`, `val` and `test` folders.
        log_file: DLLogger file, by default `nvlog.json` in `output`.
        enabled: False on all processes except the main one.
    """

    def __init__(self, output: str | Path, log_file: str = "", enabled: bool = True) -> None:
        self._enabled = enabled
        if not enabled:
            return
        from torch.utils.tensorboard import SummaryWriter

        output = Path(output)
        self._json = open_json_lines(Path(log_file) if log_file else output / "nvlog.json")
        self._boards = {subset: SummaryWriter(str(output / subset)) for subset in SUBSETS}

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._enabled:
            self._json.flush()
            for board in self._boards.values():
                board.close()

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Log the run's configuration."""
        if self._enabled:
            self._json.log("PARAMETER", values)

    def train(self, epoch: int, step: int, steps: int, total_steps: int, metrics: Mapping[str, float]) -> None:
        """Log an optimiser step: `step` of `steps` in the epoch, `total_steps` since the beginning."""
        self._write("train_", [epoch, step, steps], f"iter {step:>3}/{steps}", total_steps, "train", metrics)

    def epoch(self, epoch: int, total_steps: int, metrics: Mapping[str, float]) -> None:
        """Log averages over a training epoch."""
        self._write("avg_train_", [epoch], "avg train", total_steps, "", metrics)

    def benchmark(self, total_steps: int, metrics: Mapping[str, float]) -> None:
        """Log the result of a benchmark run under names that begin with `train_benchmark_`."""
        self._write("train_benchmark_", [], "benchmark", total_steps, "", metrics)

    def val(self, epoch: int, total_steps: int, metrics: Mapping[str, float]) -> None:
        """Log averages over the validation clips."""
        self._write("val_", [epoch], "val", total_steps, "val", metrics)

    def message(self, text: str) -> None:
        """Print a line on stdout."""
        if self._enabled:
            print(f"DLL {_now()} - {text}", flush=True)

    def sample(self, name: str, total_steps: int, wav: np.ndarray, sampling_rate: int, mel: np.ndarray) -> None:
        """Log audio [T] in [-1, 1] and its log mel [M, L] to TensorBoard's `test` folder."""
        if self._enabled:
            self._boards["test"].add_audio(f"audio/{name}", wav[None], total_steps, sampling_rate)
            self.spectrogram(name, total_steps, mel)

    def spectrogram(self, name: str, total_steps: int, mel: np.ndarray) -> None:
        """Log a log mel [M, L] as a picture to TensorBoard's `test` folder."""
        # Fixed limits, so that pictures of different steps can be compared.
        self.picture(f"spectrogram/{name}", total_steps, (np.clip(mel, SILENCE, 2.0) - SILENCE) / (2.0 - SILENCE))

    def picture(self, name: str, total_steps: int, rows: np.ndarray) -> None:
        """Log brightness [rows, columns] in [0, 1], the first row at the bottom, to TensorBoard's `test` folder."""
        if self._enabled:
            self._boards["test"].add_image(name, rows[None, ::-1].copy(), total_steps)

    def _write(
        self, prefix: str, step: list[int], label: str, total_steps: int, board: str, metrics: Mapping[str, float]
    ) -> None:
        if not self._enabled:
            return
        self._json.log(step, {prefix + name: value for name, value in metrics.items()})
        self._json.flush()
        place = [f"epoch {step[0]:>4}"] if step else []
        print(f"DLL {_now()} - {' | '.join([*place, label, *_format_metrics(metrics)])}", flush=True)
        if board:
            for name, value in metrics.items():
                self._boards[board].add_scalar(name, value, total_steps)


def _format_metrics(metrics: Mapping[str, float]) -> list[str]:
    """Format the metrics that stdout shows."""
    unlisted = {name: _format_loss(name) for name in metrics if name.endswith("_loss") and name not in _LOSSES}
    formats = {**_LOSSES, **unlisted, **_OTHERS}
    return [text.format(metrics[name]) for name, text in formats.items() if text and name in metrics]


def _format_loss(name: str) -> str:
    return name.replace("_", " ") + " {:>6.3f}"


def _now() -> str:
    return datetime.datetime.now().isoformat(" ", "microseconds")
