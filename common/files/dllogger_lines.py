"""Write and read DLLogger's JSON lines. The only module that imports that library."""

from __future__ import annotations

import datetime
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from common.errors import InputError

logger = logging.getLogger(__name__)


class JsonLines(Protocol):
    """DLLogger's `log` and `flush`."""

    def log(self, step: Sequence[int] | str, data: Mapping[str, Any]) -> None: ...

    def flush(self) -> None: ...


class _OwnJsonLines:
    """Writer of the lines of DLLogger's JSON backend, for machines without the library."""

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


def open_json_lines(path: Path) -> JsonLines:
    """Append DLLogger lines to `path` with NVIDIA's library if it is installed, or else with our own writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _end_torn_line(path)
    try:
        import dllogger
    except ImportError:
        return _OwnJsonLines(path)
    if not hasattr(dllogger, "JSONStreamBackend"):  # PyPI's placeholder with that name
        return _OwnJsonLines(path)
    backend = dllogger.JSONStreamBackend(dllogger.Verbosity.DEFAULT, str(path), append=True)
    dllogger.init(backends=[backend])
    return dllogger


def _end_torn_line(path: Path) -> None:
    """End the last line of a killed run, so that new lines do not become part of it."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def read_json_lines(path: Path) -> list[tuple[Any, dict[str, Any]]]:
    """Read step and data of each DLLogger line, as `read_records` does."""
    return [(record["step"], record["data"]) for record in read_records(path)]


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read each DLLogger line: `step`, `data`, `timestamp` and more. Incomplete lines are skipped with a warning.

    Raises:
        InputError: the file has lines, but none is a DLLogger line.
    """
    found, torn = [], []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line.removeprefix("DLLL "))
            is_record = {"step", "data"} <= record.keys()
        except (ValueError, AttributeError):
            is_record = False
        if is_record:
            found.append(record)
        else:
            torn.append(str(number))
    if lines and not found:
        raise InputError(f"{path}: not one of its {len(lines)} lines is a DLLogger line")
    if torn:
        logger.warning("%s: skipped, not a DLLogger line: line %s", path, ", ".join(torn))
    return found
