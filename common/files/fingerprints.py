"""Detect changed files and data sets, by digest or by time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from common.errors import InputError

_END_BYTES = 1 << 20


def fingerprint(paths: Sequence[Path], root: str | Path) -> str:
    """Identify a data set in a few characters: the number of files, and a digest of their names and sizes.

    The digest includes the first file's content, because mels from another source may have the same sizes.
    """
    inner = [path.relative_to(root) if path.is_relative_to(root) else path for path in paths]
    names = "\n".join(f"{name} {path.stat().st_size}" for name, path in zip(inner, paths, strict=True))
    digest = hashlib.sha256(f"{names}\n{file_digest(paths[0])}".encode())
    return f"{len(paths)} clips, {digest.hexdigest()[:12]}"


def file_digest(path: str | Path) -> str:
    """Return the first twelve hexadecimal digits of a file's SHA-256."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


def ends_digest(path: str | Path) -> str:
    """Return the first twelve hexadecimal digits of a SHA-256 of the first and the last MiB: enough for large files."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        digest.update(file.read(_END_BYTES))
        file.seek(max(0, Path(path).stat().st_size - _END_BYTES))
        digest.update(file.read(_END_BYTES))
    return digest.hexdigest()[:12]


def is_newer(result: Path, *sources: Path) -> bool:
    """Return whether a file exists and none of its sources has changed since it was written."""
    return result.is_file() and all(result.stat().st_mtime_ns >= source.stat().st_mtime_ns for source in sources)


def times_ns(*sources: Path) -> list[int]:
    """Return the modification times of files, -1 for those that are not there."""
    times = []
    for source in sources:
        try:
            times.append(source.stat().st_mtime_ns)
        except OSError:
            times.append(-1)
    return times


def expire_if_changed(result: Path, before_ns: Sequence[int], *sources: Path) -> None:
    """Let a result count as old, see `is_newer`, if a source has changed while the result was made of it.

    Its own time is later than the change, so the next run would take it for a result of the new content.

    Args:
        result: has been written.
        before_ns: `times_ns` of the sources before they were read.
        sources: the files that it was made of.
    """
    if times_ns(*sources) != before_ns:
        os.utime(result, ns=(0, 0))


class Unchanged:
    """Check that files stay the same while a program works with them, by size and time of the last change.

    Args:
        paths: the files. Reading may fail for those that are missing.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._versions: dict[Path, tuple[int, int] | None] = {}
        self.add(paths)

    def add(self, paths: Sequence[Path]) -> None:
        """Check these files, too."""
        self._versions |= {path: _version(path) for path in paths}

    def check(self, path: Path) -> None:
        """Raise `InputError` if a file has changed. One that is missing now, or was at first, passes."""
        before, now = self._versions[path], _version(path)
        if before and now and before != now:
            raise InputError(
                f"{path}: changed since this run started (then {before[0]} bytes, now {now[0]}); put the old file back "
                "and start again to resume, or train on the changed data into another --output"
            )


def _version(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
