"""Atomic writes: a file appears complete or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_LONGEST_NAME_BYTES = 200  # of 255 in most file systems


def write_whole(path: Path, content: bytes | memoryview, *, sync: bool = False) -> None:
    """Write a file atomically (see `replacing`)."""
    with replacing(path, sync=sync) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path, *, suffix: str = ".tmp", sync: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` on success and is removed on failure.

    Args:
        path: the final path. Its folder is created.
        suffix: suffix of the temporary path, for writers that depend on it.
        sync: also survive a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{_short(path.name)}.{os.getpid()}{suffix}")
    try:
        yield temporary
        if sync:
            replace_synced(temporary, path)
        else:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _short(name: str) -> str:
    """Shorten a file name so that the temporary name stays within the system's limit, too."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= _LONGEST_NAME_BYTES else hashlib.sha256(encoded).hexdigest()


def replace_synced(source: Path, target: Path) -> None:
    """Rename a complete file. After a power cut, `target` is either the old file or the whole new one."""
    sync_to_disk(source)
    source.replace(target)
    sync_to_disk(target.parent)


def sync_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove temporary files that killed processes left beside these paths. No process may be writing them."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(_short(path.name))
    for folder, known in names.items():
        for path in folder.glob(".*.tmp"):
            match = re.fullmatch(r"\.(.+)\.\d+\.tmp", path.name)
            if match and match[1] in known:
                path.unlink(missing_ok=True)
