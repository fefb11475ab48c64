"""DLLogger's JSON lines: writing and reading them. The only importer of that library."""

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
