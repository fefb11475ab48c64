"""An unfinished download: the bytes so far, and which version of the file they belong to.

DEST.part holds the bytes. DEST.part.json records the address, and the `ETag` or `Last-Modified` by which the server
names the version, so that parts of two versions are never joined.
"""

from __future__ import annotations

import contextlib
import dataclasses
import email.utils
import errno
import json
import os
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import IO

_SETTLED_SEC = 60  # a file that changed less than this before the reply may change again within the same second


@dataclasses.dataclass(frozen=True)
class Version:
    """A version of a file on a server.

    Attributes:
        url: its address.
        name: `ETag` or `Last-Modified`. "" if the server names no versions.
    """

    url: str
    name: str = ""


def read_version(url: str, headers: Message) -> Version:
    """Return the version that a reply belongs to. A weak `ETag` may stand for other bytes, so it does not count."""
    tag = headers.get("ETag", "").strip()
    if tag.startswith('"'):
        return Version(url, tag)
    changed, now = headers.get("Last-Modified", ""), headers.get("Date", "")
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        age = email.utils.parsedate_to_datetime(now) - email.utils.parsedate_to_datetime(changed)
        if age.total_seconds() >= _SETTLED_SEC:
            return Version(url, changed)
    return Version(url)


class PartFile:
    """An open DEST.part.

    Args:
        file: DEST.part, opened for reading and appending without a buffer.
        path: its path.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file = file
        self.path = path
        self.record = record_path(path)

    def length(self) -> int:
        """Return the number of bytes so far."""
        return self.file.seek(0, os.SEEK_END)

    def version(self) -> Version | None:
        """Return the recorded version of the bytes so far, None if there is none."""
        try:
            content = json.loads(self.record.read_bytes())
            version = Version(content["url"], content["name"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return version if isinstance(version.url, str) and isinstance(version.name, str) and version.name else None

    def remove(self) -> None:
        """Remove the bytes so far and their record."""
        self.path.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)

    def restart(self, version: Version | None = None) -> None:
        """Drop the bytes so far, and record the version of those to come."""
        self.file.truncate(0)
        with self._named_errors():
            if version is not None and version.name:
                self.record.write_text(json.dumps(dataclasses.asdict(version)), encoding="utf-8")
            else:
                self.record.unlink(missing_ok=True)

    def append(self, chunk: bytes) -> None:
        """Append bytes.

        Raises:
            OSError: the disk is full or fails. The message contains the path.
        """
        view = memoryview(chunk)
        with self._named_errors():
            while view:
                view = view[self.file.write(view) :]

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            remedy = "; make room and run again to continue" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            raise OSError(error.errno, f"{os.strerror(error.errno or 0)}{remedy}", str(self.path)) from error


def record_path(part: Path) -> Path:
    """Return the path of the record beside DEST.part."""
    return part.with_name(part.name + ".json")
