"""Download one file over HTTP(S): resumable, verified, atomic.

    python -m common.download.http URL DEST [--sha256 HEX] [--size N] [--force]

An unfinished download is in DEST.part, which a later run continues. DEST only appears when it is complete and verified.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import IO

from common.cli import ArgumentParser, run
from common.errors import InputError
from common.files.atomic import replace_synced
from common.files.locks import open_locked

ATTEMPTS = 4
TIMEOUT_SEC = 60.0
CHUNK_BYTES = 1 << 20
MEGABYTE = 1e6

log = logging.getLogger(__name__)


class _Interrupted(Exception):
    """A failure that is worth another attempt."""


def download(url: str, dest: str | Path, *, sha256: str = "", size: int = 0, force: bool = False) -> Path:
    """Fetch `url` to `dest`. If `dest` already matches, the network is not used.

    Args:
        url: an http:// or https:// address.
        sha256: expected checksum, 64 hexadecimal digits. "" accepts any bytes.
        size: expected length in bytes. 0 accepts any length above 0.
        force: replace a `dest` that does not match, instead of raising an error.

    Raises:
        InputError: an argument is malformed, or `dest` or the received bytes do not match.
        OSError: the server or the disk failed. The message contains the address and the remedy.
    """
    dest = Path(dest)
    if not re.match(r"https?://[^/]", url):
        raise InputError(f"{url}: not an http:// or https:// address")
    if is_present(dest, sha256=sha256, size=size, force=force):
        return dest
    dest.parent.mkdir(parents=True, exist_ok=True)
    part = dest.with_name(dest.name + ".part")
    with _open_part(part) as file:
        _fetch_until_complete(url, file, sha256.lower(), size)
        file.flush()
        replace_synced(part, dest)
    log.info("%s: %.1f MB, %s", dest, dest.stat().st_size / MEGABYTE, "checksum verified" if sha256 else "no checksum")
    return dest


def is_present(dest: Path, *, sha256: str = "", size: int = 0, force: bool = False) -> bool:
    """Return whether `dest` exists and matches. Without `sha256` and `size`, any non-empty file matches.

    Raises:
        InputError: `sha256` is malformed, or `dest` exists but does not match, and `force` is off.
    """
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise InputError(f"--sha256: {sha256!r} is not a checksum of 64 hexadecimal digits")
    if not dest.exists():
        return False
    if not dest.is_file():
        raise InputError(f"{dest}: is not a file; move it away and run again")
    with dest.open("rb") as file:
        problem = _find_mismatch(file, sha256.lower(), size)
    if problem and not force:
        raise InputError(f"{dest}: exists already but its {problem}; move it away, or replace it with --force")
    # If there is nothing to compare with, --force asks for a fresh download.
    return not problem and not (force and not sha256 and not size)


def compute_sha256(file: IO[bytes]) -> str:
    """Compute the SHA-256 of a whole open file, in hexadecimal. The position is then at the end."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _open_part(part: Path) -> Iterator[IO[bytes]]:
    """Open `part` for reading and appending, locked against a second download of the same file."""
    with open_locked(part, "another download of this file is running; wait for it or stop it") as file:
        try:
            yield file
        except InputError:
            part.unlink()  # wrong bytes cannot be continued
            raise
        finally:
            if part.exists() and not part.stat().st_size:
                part.unlink()


def _fetch_until_complete(url: str, file: IO[bytes], sha256: str, size: int) -> None:
    """Retry with growing pauses until `file` is complete and matches."""
    pause_sec = float(os.environ.get("DOWNLOAD_PAUSE_SEC", "1"))
    failures, furthest = 0, 0
    while True:
        start = file.seek(0, os.SEEK_END)
        try:
            _fetch(url, file)
            problem = _find_mismatch(file, sha256, size)
            if not problem:
                return
            if not start:
                raise InputError(f"{url}: the {problem}; try again later, or give another address or checksum")
            # The remote file may have changed since the first part was fetched. Start again.
            file.truncate(0)
            raise _Interrupted(f"after resuming, the {problem}")
        except _Interrupted as error:
            # Occasional connection failures do not end a long download, as long as it makes progress.
            length = file.seek(0, os.SEEK_END)
            failures = 1 if length > furthest else failures + 1
            furthest = max(furthest, length)
            if failures >= ATTEMPTS:
                raise OSError(f"{url}: {error}; check the network and run again to continue") from error
            log.warning("%s: %s; trying again in %g s", url, error, pause_sec * 2 ** (failures - 1))
            time.sleep(pause_sec * 2 ** (failures - 1))


def _fetch(url: str, file: IO[bytes]) -> None:
    """Append the missing bytes to `file` in one attempt, or start again if the server ignores the range."""
    offset = file.seek(0, os.SEEK_END)
    with _open_url(url, offset) as response:
        if response.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            if _parse_range(response.headers) == ("*", offset):
                return  # the file was already complete
            file.truncate(0)
            raise _Interrupted("the server refused to continue the download")
        if offset and (response.status != 206 or _parse_range(response.headers)[0] != str(offset)):
            offset = 0
            file.truncate(0)
        length = response.headers.get("Content-Length")
        total = offset + int(length) if length else None
        _append_body(response, file, offset, total)


def _open_url(url: str, offset: int) -> http.client.HTTPResponse | urllib.error.HTTPError:
    # "identity": a compressed reply would match neither the checksum nor the range.
    headers = {"User-Agent": "hifigan-recipe", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        request = urllib.request.Request(url, headers=headers)
        return urllib.request.urlopen(request, timeout=TIMEOUT_SEC)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
            return error
        message = f"HTTP {error.code} {error.reason}"
        if error.code >= 500 or error.code in (408, 429):
            raise _Interrupted(message) from error
        raise OSError(f"{url}: {message}; the file may have moved: give another address") from error
    except urllib.error.URLError as error:
        raise _Interrupted(str(error.reason)) from error
    except (ValueError, http.client.InvalidURL) as error:
        raise InputError(f"{url}: not a valid address ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(str(error) or type(error).__name__) from error


def _parse_range(headers: Message) -> tuple[str, int]:
    """Parse `Content-Range`: `bytes 5-9/10` -> ("5", 10), `bytes */10` -> ("*", 10), missing -> ("", 0)."""
    found = re.match(r"bytes (\*|\d+)(?:-\d+)?/(\d+)", headers.get("Content-Range", ""))
    return (found[1], int(found[2])) if found else ("", 0)


def _append_body(
    response: http.client.HTTPResponse | urllib.error.HTTPError, file: IO[bytes], done: int, total: int | None
) -> None:
    """Append the body to `file`. Only network failures, not disk failures, are worth another attempt."""
    progress = _Progress(total)
    try:
        while True:
            try:
                chunk = response.read(CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise _Interrupted(str(error) or type(error).__name__) from error
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            progress.show(done)
    finally:
        progress.close()
    # http.client does not report a body that was cut short.
    if total is not None and done != total:
        raise _Interrupted(f"the connection ended after {done} of {total} bytes")


def _find_mismatch(file: IO[bytes], sha256: str, size: int) -> str:
    """Describe how an open file does not match, as a clause for an error message. "" if it matches."""
    length = file.seek(0, os.SEEK_END)
    if not length:
        return "content is empty"
    if size and length != size:
        return f"size is {length} bytes, not {size}"
    if sha256 and (found := compute_sha256(file)) != sha256:
        return f"SHA-256 is {found}, not {sha256}"
    return ""


class _Progress:
    """Progress on stderr: one changing line on a terminal, or else a line every half minute."""

    def __init__(self, total: int | None) -> None:
        self.terminal = sys.stderr.isatty()
        self.total = f" of {total / MEGABYTE:.1f}" if total is not None else ""
        self.period_sec = 0.2 if self.terminal else 30.0
        self.due = time.monotonic() + self.period_sec

    def show(self, done: int) -> None:
        if time.monotonic() >= self.due:
            self.due = time.monotonic() + self.period_sec
            line = f"{done / MEGABYTE:.1f}{self.total} MB"
            print(
                f"\r{line}" if self.terminal else line, end="" if self.terminal else "\n", file=sys.stderr, flush=True
            )

    def close(self) -> None:
        if self.terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def main() -> None:
    parser = ArgumentParser(prog="common.download.http", description="Download one file: resumable, verified, atomic.")
    parser.add_argument("url", metavar="URL")
    parser.add_argument("dest", metavar="DEST", help="file to write; DEST.part holds an unfinished download")
    parser.add_argument("--sha256", metavar="HEX", default="", help="expected checksum (default: none)")
    parser.add_argument("--size", metavar="N", type=int, default=0, help="expected length in bytes (default: any)")
    parser.add_argument("--force", action="store_true", help="replace a DEST that does not match (default: off)")
    args = parser.parse_args()
    download(args.url, args.dest, sha256=args.sha256, size=args.size, force=args.force)


if __name__ == "__main__":
    run(main, "common.download.http")
