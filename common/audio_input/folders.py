"""Find the files of a data set in its folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

log = logging.getLogger(__name__)


def walk_files(folder: Path, wanted: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield the files below a folder whose names are `wanted`, also in linked folders, in no particular order.

    Hidden files and folders are skipped, and so is `__MACOSX`: operating systems leave them beside data. Broken links
    are yielded, so that the reader names them instead of losing them.
    """
    if not folder.exists():
        return
    above: dict[str, frozenset[tuple[int, int]]] = {}  # folder -> it and its ancestors, to notice loops of links
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_name_unreadable):
        status = Path(parent).stat()
        ancestors = above.pop(parent, frozenset())
        if (status.st_dev, status.st_ino) in ancestors:
            log.warning("%s: a link to a folder above it; not followed", parent)
            folders.clear()
            continue
        folders[:] = [name for name in folders if not _is_hidden(name)]
        own = ancestors | {(status.st_dev, status.st_ino)}
        above.update((os.path.join(parent, name), own) for name in folders)  # noqa: PTH118 (os.walk joins likewise)
        yield from (path for name in names if not _is_hidden(name) and wanted(path := Path(parent, name)))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _name_unreadable(error: OSError) -> None:
    raise error
