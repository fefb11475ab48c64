"""Open and read files that others chose: never a device or a pipe, and never more than a limit."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

from common.errors import InputError
from common.resources import available_memory

REPLACE_DAMAGED = "take an older checkpoint, or copy or download the file again"  # end of a message
_ALWAYS_FREE_BYTES = 2**26  # less is not worth asking the system


def open_regular(path: str | Path) -> io.BufferedReader:
    """Open a file for reading. Unlike `open`, this neither waits for the writer of a pipe nor opens a device.

    Raises:
        FileNotFoundError: no such file.
        InputError: a device, a pipe or a socket, also one behind a link.
        OSError: a folder, or it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise InputError(f"{path}: a device or a pipe, not a file; copy its content to a file first")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bounded(path: str | Path, largest_bytes: int, kind: str) -> bytes:
    """Read a whole file.

    Args:
        path: the file.
        largest_bytes: limit.
        kind: what it should be, such as "a configuration", for the message.

    Raises:
        FileNotFoundError: no such file.
        InputError: larger than the limit, or a device or a pipe.
        OSError: a folder, or it cannot be read.
    """
    with open_regular(path) as file:
        content = file.read(largest_bytes + 1) if file_size(file) <= largest_bytes else b""
        if len(content) > largest_bytes or file_size(file) > largest_bytes:
            raise InputError(f"{path}: too large for {kind}; the limit is {in_megabytes(largest_bytes)}")
    return content


def file_size(file: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def in_megabytes(count: int) -> str:
    """Return a number of bytes in words: "512 KB", "4 MB"."""
    return f"{count / 2**10:.0f} KB" if count < 2**20 else f"{count / 2**20:.0f} MB"


def check_memory(path: str | Path, needed_bytes: int) -> None:
    """Raise `InputError` if a content does not fit the memory. A few bytes on disk can be a hole of terabytes."""
    if needed_bytes <= _ALWAYS_FREE_BYTES:
        return
    free = available_memory()
    if free is not None and needed_bytes > free:
        raise InputError(
            f"{path}: its content needs {needed_bytes / 2**30:.1f} GB of memory, {free / 2**30:.1f} GB are free"
        )
