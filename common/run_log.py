"""Logs of a training run: DLLogger lines, stdout and TensorBoard. The only importer of either library."""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from common.audio import SILENCE
from common.distributed import Distributed
from common.errors import InputError

logger = logging.getLogger(__name__)
SUBSETS = ("train", "val", "test")
# How a metric is shown on stdout; metrics without an entry go to the files only.
_STDOUT = {
    "loss": "loss {:>6.3f}",
    "d_loss": "d loss {:>6.3f}",
    "g_loss": "g loss {:>6.3f}",
    "mel_loss": "mel loss {:>6.3f}",
    "ema_mel_loss": "ema mel loss {:>6.3f}",
    "duration_loss": "dur loss {:>5.3f}",
    "pitch_loss": "pitch loss {:>5.3f}",
    "alignment_loss": "align loss {:>5.3f}",
    "frames/s": "{:>8.2f} frames/s",
    "took": "took {:.2f} s",
    "lrate": "lr {:.2e}",
    "lrate_gen": "g lr {:.2e}",
    "lrate_discrim": "d lr {:.2e}",
}


class JsonLines(Protocol):
    """DLLogger's `log` and `flush`."""

    def log(self, step: Sequence[int] | str, data: Mapping[str, Any]) -> None: ...

    def flush(self) -> None: ...


class _OwnJsonLines:
    """The lines of DLLogger's JSON backend, for machines where the library is not installed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._start = time.time()

    def log(self, step: Sequence[int] | str, data: Mapping[str, Any]) -> None:
        now = time.time()
        record = {
            "timestamp": str(now),
            "datetime": str(datetime.datetime.fromtimestamp(now)),
            "elapsedtime": str(now - self._start),
            "type": "LOG",
            "step": step,
            "data": data,
        }
        self._file.write(f"DLLL {json.dumps(record)}\n")

    def flush(self) -> None:
        self._file.flush()


def json_lines(path: Path) -> JsonLines:
    """Appends DLLogger lines to `path`: through NVIDIA's library where it is installed, else by our own writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _end_torn_line(path)
    try:
        import dllogger
    except ImportError:
        return _OwnJsonLines(path)
    if not hasattr(dllogger, "JSONStreamBackend"):  # PyPI's placeholder of that name
        return _OwnJsonLines(path)
    backend = dllogger.JSONStreamBackend(dllogger.Verbosity.DEFAULT, str(path), append=True)
    dllogger.init(backends=[backend])
    return dllogger


def _end_torn_line(path: Path) -> None:
    """The last line of a run that was killed may lack its end; what is appended must not become part of it."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def read_json_lines(path: Path) -> list[tuple[Any, dict[str, Any]]]:
    """Step and data of the DLLogger lines of a file; those that a killed run left torn are skipped with a warning.

    Raises:
        InputError: the file has lines, but none of DLLogger's.
    """
    found, torn = [], []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line.removeprefix("DLLL "))
            found.append((record["step"], record["data"]))
        except (ValueError, KeyError, TypeError):
            torn.append(str(number))
    if lines and not found:
        raise InputError(f"{path}: not one of its {len(lines)} lines is a DLLogger line")
    if torn:
        logger.warning("%s: skipped, as no DLLogger lines: line %s", path, ", ".join(torn))
    return found


class RunLog:
    """Where a run tells what it does; silent on all processes but the main one.

    Args:
        output: the run's directory; TensorBoard files go to its `train`, `val` and `test` folders.
        log_file: DLLogger file; empty for `nvlog.json` in `output`.
        enabled: False on all processes but the main one.
    """

    def __init__(self, output: str | Path, log_file: str = "", enabled: bool = True) -> None:
        self._enabled = enabled
        if not enabled:
            return
        from torch.utils.tensorboard import SummaryWriter

        output = Path(output)
        self._json = json_lines(Path(log_file) if log_file else output / "nvlog.json")
        self._boards = {subset: SummaryWriter(str(output / subset)) for subset in SUBSETS}

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._enabled:
            self._json.flush()
            for board in self._boards.values():
                board.close()

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Records the run's configuration."""
        if self._enabled:
            self._json.log("PARAMETER", values)

    def train(self, epoch: int, step: int, steps: int, total_steps: int, metrics: Mapping[str, float]) -> None:
        """One line per logged optimiser step: `step` of `steps` in the epoch, `total_steps` since the beginning."""
        self._write("train_", [epoch, step, steps], f"iter {step:>3}/{steps}", total_steps, "train", metrics)

    def epoch(self, epoch: int, total_steps: int, metrics: Mapping[str, float]) -> None:
        """Averages over a training epoch."""
        self._write("avg_train_", [epoch], "avg train", total_steps, "", metrics)

    def benchmark(self, total_steps: int, metrics: Mapping[str, float]) -> None:
        """The result of a benchmark run, under names that begin with `train_benchmark_`."""
        self._write("train_benchmark_", [], "benchmark", total_steps, "", metrics)

    def val(self, epoch: int, total_steps: int, metrics: Mapping[str, float]) -> None:
        """Averages over the validation clips."""
        self._write("val_", [epoch], "val", total_steps, "val", metrics)

    def message(self, text: str) -> None:
        """A line on stdout for the person who watches."""
        if self._enabled:
            print(f"DLL {_now()} - {text}", flush=True)

    def sample(self, name: str, total_steps: int, wav: np.ndarray, sampling_rate: int, mel: np.ndarray) -> None:
        """Audio [T] in [-1, 1] and its log mel [M, L], for TensorBoard's `test` folder."""
        if self._enabled:
            self._boards["test"].add_audio(f"audio/{name}", wav[None], total_steps, sampling_rate)
            self.spectrogram(name, total_steps, mel)

    def spectrogram(self, name: str, total_steps: int, mel: np.ndarray) -> None:
        """A log mel [M, L], for TensorBoard's `test` folder."""
        # Fixed limits, so that pictures of different steps can be compared.
        self.picture(f"spectrogram/{name}", total_steps, (np.clip(mel, SILENCE, 2.0) - SILENCE) / (2.0 - SILENCE))

    def picture(self, name: str, total_steps: int, rows: np.ndarray) -> None:
        """Brightness in [0, 1], [rows, columns], the first row at the bottom, for TensorBoard's `test` folder."""
        if self._enabled:
            self._boards["test"].add_image(name, rows[None, ::-1].copy(), total_steps)

    def _write(
        self, prefix: str, step: list[int], label: str, total_steps: int, board: str, metrics: Mapping[str, float]
    ) -> None:
        if not self._enabled:
            return
        self._json.log(step, {prefix + name: value for name, value in metrics.items()})
        self._json.flush()
        shown = [form.format(metrics[name]) for name, form in _STDOUT.items() if name in metrics]
        place = [f"epoch {step[0]:>4}"] if step else []
        print(f"DLL {_now()} - {' | '.join([*place, label, *shown])}", flush=True)
        if board:
            for name, value in metrics.items():
                self._boards[board].add_scalar(name, value, total_steps)


def _now() -> str:
    return datetime.datetime.now().isoformat(" ", "microseconds")


def watched() -> bool:
    """Whether a person watches: progress bars are drawn on terminals only."""
    return sys.stderr.isatty()


def progress_bar(what: str, unit: str, total: int, place: Distributed) -> tqdm:
    """A bar for this process's share of some work, if someone watches; only that of the main process is drawn."""
    name = f"{what} (process 1 of {place.world_size})" if place.world_size > 1 else what
    return tqdm(total=total, desc=name, unit=unit, disable=not (watched() and place.is_main))
