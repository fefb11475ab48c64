"""Records of a benchmark in JSON lines, each written at once: a run that is killed keeps what it measured."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Journal:
    """File of records. Each has a "kind" and further values.

    Args:
        path: the file. Its folder exists.
        continued: keep the records of an earlier run.
    """

    def __init__(self, path: Path, continued: bool = False) -> None:
        self.path = path
        if not continued:
            path.write_bytes(b"")
        elif path.is_file() and path.read_bytes()[-1:] not in (b"", b"\n"):
            with path.open("ab") as file:  # the last record of a killed run may be torn
                file.write(b"\n")

    def add(self, kind: str, **values: Any) -> None:
        """Write a record. Numbers that are not finite become words, since JSON has none."""
        line = json.dumps({"kind": kind, **plain(values)}, allow_nan=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())

    def records(self, *kinds: str) -> list[Record]:
        """Return the records of some kinds, or all, in order. Torn lines are skipped."""
        found = []
        for line in self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else ():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if not kinds or record.get("kind") in kinds:
                found.append(record)
        return found


def plain(value: Any) -> Any:
    """Return a value for JSON: tuples as lists, numbers that are not finite as "nan", "inf" or "-inf"."""
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
