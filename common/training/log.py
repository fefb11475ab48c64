"""Logs of a training run: DLLogger lines, stdout and TensorBoard. No other module imports TensorBoard's writer."""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.audio import SILENCE
from common.errors import InputError
from common.files.dllogger_lines import open_json_lines
from common.machine.signals_and_streams import drop_stdout

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger(__name__)

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

    What cannot be written, such as to a full disk or a closed terminal, is named once. Training goes on without it.

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
        self._lost: set[str] = set()  # names of what could not be written
        self._json_path = Path(log_file) if log_file else output / "nvlog.json"
        self._json = open_json_lines(self._json_path)
        self._thread_errors = threading.excepthook
        threading.excepthook = self._report_thread_error
        try:
            self._boards = {subset: SummaryWriter(str(output / subset)) for subset in SUBSETS}
        except OSError as error:
            raise InputError(
                f"{output}: logs cannot be written ({error.strerror or error}); make room, or give another --output"
            ) from error
        self._output = output

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._enabled:
            return
        with self._lossy(str(self._json_path)):
            self._json.flush()
        for subset in list(self._boards):
            with self._board(subset) as board:
                if board:
                    board.close()
        threading.excepthook = self._thread_errors
        drop_stdout()

    def _report_thread_error(self, args: threading.ExceptHookArgs) -> None:
        """Hide the traceback of TensorBoard's thread, whose error the next call of its writer raises."""
        of_tensorboard = type(args.thread).__name__ == "_AsyncWriterThread"
        if not (of_tensorboard and issubclass(args.exc_type, OSError)):
            self._thread_errors(args)

    @contextlib.contextmanager
    def _lossy(self, name: str) -> Iterator[None]:
        """Go on after an error of writing, and name it once."""
        try:
            yield
        except OSError as error:
            if name not in self._lost:
                logger.warning(
                    "%s: cannot be written (%s); training goes on, and its log has a gap", name, error.strerror or error
                )
            self._lost.add(name)

    @contextlib.contextmanager
    def _board(self, subset: str) -> Iterator[SummaryWriter | None]:
        """Yield TensorBoard's writer of a subset, or None once it could not write: its thread has ended then."""
        board = self._boards.get(subset)
        name = f"{self._output / subset} (TensorBoard)"
        with self._lossy(name):
            yield board
        if name in self._lost:
            self._boards.pop(subset, None)

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Log the run's configuration."""
        if self._enabled:
            with self._lossy(str(self._json_path)):
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
            self._print(f"DLL {_now()} - {text}")

    def _print(self, line: str) -> None:
        try:
            with self._lossy("standard output"):
                print(line, flush=True)
        except ValueError:  # closed
            pass

    def sample(self, name: str, total_steps: int, wav: np.ndarray, sampling_rate: int, mel: np.ndarray) -> None:
        """Log audio [T] in [-1, 1] and its log mel [M, L] to TensorBoard's `test` folder."""
        if self._enabled:
            with self._board("test") as board:
                if board:
                    board.add_audio(f"audio/{name}", wav[None], total_steps, sampling_rate)
            self.spectrogram(name, total_steps, mel)

    def spectrogram(self, name: str, total_steps: int, mel: np.ndarray) -> None:
        """Log a log mel [M, L] as a picture to TensorBoard's `test` folder."""
        # Fixed limits, so that pictures of different steps can be compared.
        self.picture(f"spectrogram/{name}", total_steps, (np.clip(mel, SILENCE, 2.0) - SILENCE) / (2.0 - SILENCE))

    def picture(self, name: str, total_steps: int, rows: np.ndarray) -> None:
        """Log brightness [rows, columns] in [0, 1], the first row at the bottom, to TensorBoard's `test` folder."""
        if self._enabled:
            with self._board("test") as board:
                if board:
                    board.add_image(name, rows[None, ::-1].copy(), total_steps)

    def _write(
        self, prefix: str, step: list[int], label: str, total_steps: int, board: str, metrics: Mapping[str, float]
    ) -> None:
        if not self._enabled:
            return
        with self._lossy(str(self._json_path)):
            self._json.log(step, {prefix + name: value for name, value in metrics.items()})
            self._json.flush()
        place = [f"epoch {step[0]:>4}"] if step else []
        self._print(f"DLL {_now()} - {' | '.join([*place, label, *_format_metrics(metrics)])}")
        if board:
            with self._board(board) as writer:
                if writer:
                    for name, value in metrics.items():
                        writer.add_scalar(name, value, total_steps)


def _format_metrics(metrics: Mapping[str, float]) -> list[str]:
    """Format the metrics that stdout shows."""
    unlisted = {name: _format_loss(name) for name in metrics if name.endswith("_loss") and name not in _LOSSES}
    formats = {**_LOSSES, **unlisted, **_OTHERS}
    return [text.format(metrics[name]) for name, text in formats.items() if text and name in metrics]


def _format_loss(name: str) -> str:
    return name.replace("_", " ") + " {:>6.3f}"


def _now() -> str:
    return datetime.datetime.now().isoformat(" ", "microseconds")
