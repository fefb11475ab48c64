"""Open zip archives whose members are stored uncompressed, as PyTorch writes tensors, within limits.

A compressed archive of kilobytes can hold gigabytes, and a member can be listed a million times.
"""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from common.files.bounded.regular_files import in_megabytes, open_regular

LARGEST_DIRECTORY_BYTES = 4 * 2**20  # the list of members
MOST_MEMBERS = 50_000
LARGEST_COMPRESSED_BYTES = 2**26  # PyTorch compresses the code of programs, but no tensors


class UnsafeArchiveError(zipfile.BadZipFile):
    """An archive beyond the limits, which need not be damaged."""


@contextlib.contextmanager
def open_stored(source: Path | BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Open an archive whose members together are hardly larger than the file.

    Args:
        source: path, or an open file that can seek.

    Raises:
        BadZipFile: not an archive, a damaged one, or (`UnsafeArchiveError`) one beyond the limits.
        OSError: it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open_regular(source)) if isinstance(source, Path) else source
        reader = _Bounded(file)
        try:
            archive = stack.enter_context(zipfile.ZipFile(reader))
        except (zipfile.BadZipFile, OSError, MemoryError):
            raise
        except Exception as error:  # damaged bytes can raise almost any exception
            raise zipfile.BadZipFile(f"damaged archive ({type(error).__name__})") from error
        reader.largest_read = None
        members = archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise UnsafeArchiveError(f"{len(members):,} members, the limit is {MOST_MEMBERS:,}")
        size = reader.seek(0, os.SEEK_END)
        if (unpacked := sum(member.file_size for member in members)) > size + LARGEST_COMPRESSED_BYTES:
            raise UnsafeArchiveError(
                f"its members are larger ({in_megabytes(unpacked)}) than itself ({in_megabytes(size)}); "
                "PyTorch does not compress them"
            )
        yield archive


def read_member(archive: zipfile.ZipFile, name: str, largest_bytes: int) -> bytes:
    """Read a member.

    Raises:
        BadZipFile: damaged, or (`UnsafeArchiveError`) larger than the limit.
        OSError: it cannot be read.
    """
    if (size := archive.getinfo(name).file_size) > largest_bytes:
        raise UnsafeArchiveError(f"{name} has {in_megabytes(size)}, the limit is {in_megabytes(largest_bytes)}")
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, OSError, MemoryError):
        raise
    except Exception as error:  # as above
        raise zipfile.BadZipFile(f"damaged archive ({type(error).__name__})") from error


class _Bounded(io.BufferedIOBase):
    """A file that refuses to read a large piece at once, as `zipfile` reads the list of members."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.largest_read: int | None = LARGEST_DIRECTORY_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        if self.largest_read is not None and size is not None and size > self.largest_read:
            raise UnsafeArchiveError(
                f"its list of members has {in_megabytes(size)}, the limit is {in_megabytes(self.largest_read)}"
            )
        return self._file.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
