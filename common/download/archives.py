"""Extract tar and zip archives: what appears under the final name is always complete."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import lzma
import os
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from common.download.http import compute_sha256, is_present
from common.errors import InputError, first_line
from common.files.atomic import remove_leftovers, replacing

# Audio and weights hardly shrink. What an archive expands to beyond this is meant to fill the disk.
LARGEST_RATIO = 50
ALWAYS_ALLOWED_BYTES = 100_000_000
LARGEST_COUNT = 1_000_000
DEEPEST = 16  # folders
LONGEST_HEADER_BYTES = 1 << 20  # a tar archive's long names and attributes, which are read into memory
CHUNK_BYTES = 1 << 20


def extract_zip_member(archive: str | Path, member: str, dest: str | Path, *, sha256: str = "") -> str:
    """Extract one member of a zip archive or wheel, unless `dest` already matches. Returns the SHA-256 of `dest`.

    Args:
        archive: the zip archive.
        member: path in the archive, or a file name that occurs once in any of its folders.
        dest: the file to write.
        sha256: expected checksum. "" accepts any bytes.

    Raises:
        InputError: the archive is damaged or lacks the member, or a checksum does not match.
    """
    dest = Path(dest)
    if not is_present(dest, sha256=sha256):
        remove_leftovers([dest])
        with damage_in_one_line(archive, "damaged zip archive"), zipfile.ZipFile(archive) as package:
            name = _find_member(package, member, archive)
            limit = _largest_content(archive)
            if package.getinfo(name).file_size > limit:
                raise InputError(f"{archive}: {member} has more than {limit} bytes when extracted; delete the archive")
            with replacing(dest, sync=True) as part, part.open("w+b") as file:
                with package.open(name) as source:
                    _copy(source, file, archive)
                if sha256 and (found := compute_sha256(file)) != sha256.lower():
                    raise InputError(f"{archive}: SHA-256 of {member} is {found}, not {sha256}; delete the archive")
    with dest.open("rb") as file:
        return compute_sha256(file)


def _copy(source: IO[bytes], file: IO[bytes], archive: str | Path) -> None:
    """Copy a member of a zip archive. Its end raises BadZipFile if the CRC is wrong."""
    while True:
        try:
            chunk = source.read(CHUNK_BYTES)
        except OSError as error:  # of bz2, which has no exception of its own
            raise zipfile.BadZipFile(first_line(error)) from error
        if not chunk:
            return
        file.write(chunk)


@contextlib.contextmanager
def damage_in_one_line(archive: str | Path, problem: str) -> Iterator[None]:
    """Turn what the standard library raises for damaged archives into one line."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # the disk, not the archive, or a place before its start
            raise
        raise InputError(f"{archive}: {problem} ({first_line(error)}); delete it and run again") from error
    except (
        *(zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
        # an encrypted or unknown compression, names and numbers that are none, and headers within headers
        *(EOFError, RuntimeError, ValueError, OverflowError, IndexError, KeyError),
    ) as error:
        raise InputError(f"{archive}: {problem} ({first_line(error)}); delete it and run again") from error


def _largest_content(archive: str | Path) -> int:
    return max(LARGEST_RATIO * Path(archive).stat().st_size, ALWAYS_ALLOWED_BYTES)


def _find_member(package: zipfile.ZipFile, member: str, archive: str | Path) -> str:
    names = package.namelist()
    if member in names:
        return member
    found = [name for name in names if PurePosixPath(name).name == member]
    if len(found) != 1:
        raise InputError(f"{archive}: no {member} in it, only: {', '.join(names[:10]) or 'nothing'}")
    return found[0]


def extract_tar(archive: str | Path, folder: str | Path, *, root: str, expect: str = "", count: int = 0) -> None:
    """Extract the folder `root` of a tar archive, of any compression, as `folder`.

    Everything first goes to a hidden folder beside `folder`, which is renamed when complete.

    Args:
        archive: the tar archive.
        folder: the folder to create.
        root: name of the top folder in the archive.
        expect: glob pattern, relative to `root`, that must match `count` non-empty files.
        count: number of these files.

    Raises:
        InputError: `folder` exists, or the archive is damaged, unsafe, or not the expected one.
    """
    folder = Path(folder)
    if folder.exists():
        raise InputError(f"{folder}: exists already; move it away and run again")
    if not hasattr(tarfile, "data_filter"):
        raise InputError("this Python cannot extract archives safely; use 3.10.12, 3.11.4, 3.12 or newer")
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with damage_in_one_line(archive, "damaged or unsafe tar archive"):
            _extract_all(archive, temporary)
        extracted = temporary / root
        if not extracted.is_dir():
            raise InputError(f"{archive}: no folder {root} in it")
        if expect and (found := count_files(extracted, expect)) != count:
            raise InputError(f"{archive}: holds {found} files {expect}, not {count}; delete it and run again")
        os.sync()  # writes the data of thousands of files to disk before the final name appears
        extracted.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _Header(tarfile.TarInfo):
    """A header of a tar archive that is checked before anything follows from it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)  # type: ignore[arg-type]
        if header.size < 0:
            raise tarfile.ReadError("a file of negative size")
        if not header.isreg() and header.size > LONGEST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


def _open_decompressed(path: str | Path) -> IO[bytes]:
    """Open a file, compressed or not. tarfile's own streams expand all they have read at once, into memory."""
    with Path(path).open("rb") as file:
        start = file.read(6)
    for magic, opener in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open)):
        if start.startswith(magic):
            return cast("IO[bytes]", opener(path, "rb"))
    return Path(path).open("rb")


def _extract_all(archive: str | Path, folder: Path) -> None:
    """Extract the files and folders of a tar archive. Links and devices are refused: no data set has any.

    Raises:
        tarfile.TarError: the archive is damaged or unsafe.
        OSError: the disk failed.
    """
    limit = _largest_content(archive)
    total = count = 0
    # Read as a stream ("r|"), because seeking in a bz2 archive decompresses it again from the start.
    with _open_decompressed(archive) as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as package:
        for member in package:
            package.members = []  # type: ignore[attr-defined]  # which would grow with every file
            path = PurePosixPath(member.name)
            if not (member.isreg() or member.isdir()) or member.issparse():
                raise tarfile.ReadError(f"{member.name} is neither a file nor a folder")
            if path.is_absolute() or ".." in path.parts or len(path.parts) > DEEPEST:
                raise tarfile.ReadError(f"{member.name} lies elsewhere")
            if member.size < 0:
                raise tarfile.ReadError(f"{member.name} has a negative size")
            total, count = total + member.size, count + 1
            if total > limit or count > LARGEST_COUNT:
                raise tarfile.ReadError(f"more than {limit} bytes or {LARGEST_COUNT} files when extracted")
            package.extract(member, folder, filter="data")


def count_files(folder: Path, pattern: str) -> int:
    """Count the files that match a glob pattern and are not empty."""
    return sum(path.stat().st_size > 0 for path in folder.glob(pattern))
