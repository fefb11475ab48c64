"""Download one file over HTTP(S): resumable, verified, atomic.

    python -m common.download.http URL DEST [--sha256 HEX] [--size N] [--force]

An unfinished download is in DEST.part, which a later run continues. DEST only appears when it is complete and verified.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import shutil
import sys
import time
from email.message import Message
from pathlib import Path
from typing import IO, Any

from common.cli import ArgumentParser, run
from common.download.connection import Interrupted, Reply, check_address, open_url, read_some
from common.download.partial import PartFile, Version, read_version, record_path
from common.errors import InputError
from common.files.atomic import replace_synced
from common.files.locks import open_locked

ATTEMPTS = 4
CHUNK_BYTES = 1 << 20
LARGEST_BYTES = 50 * 10**9  # no data set or model of this project has more; a server may send without end
MEGABYTE = 1e6
BUSY = "another download of this file is running; wait for it or stop it"
WEB_PAGE = "content is a web page"

log = logging.getLogger(__name__)


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
    check_address(url)
    if is_present(dest, sha256=sha256, size=size, force=force):
        return dest
    dest.parent.mkdir(parents=True, exist_ok=True)
    part = dest.with_name(dest.name + ".part")
    if part.exists() and not part.is_file():
        raise InputError(f"{part}: is not a file; move it away and run again")
    with open_locked(part, BUSY) as locked:
        if is_present(dest, sha256=sha256, size=size, force=force):  # another process was faster
            part.unlink()
            return dest
        stream: Any = locked
        file = PartFile(stream.raw, part)
        try:
            _fetch_until_complete(url, file, sha256.lower(), size)
            replace_synced(part, dest)
            record_path(part).unlink(missing_ok=True)
        except InputError:
            file.remove()  # wrong bytes cannot be continued
            raise
        finally:
            if part.exists() and not part.stat().st_size:
                file.remove()
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
        problem = _find_mismatch(file, sha256.lower(), size, dest.name)
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


def _fetch_until_complete(url: str, part: PartFile, sha256: str, size: int) -> None:
    """Retry with growing pauses until `part` is complete and matches."""
    pause_sec = _read_pause()
    failures, furthest = 0, 0
    while True:
        start = part.length()
        try:
            _fetch(url, part, sha256, size)
            problem = _find_mismatch(part.file, sha256, size, part.path.stem)
            if not problem:
                return
            if not start:
                raise InputError(f"{url}: the {problem}; try again later, or give another address or checksum")
            # The remote file may have changed since the first part was fetched. Start again.
            part.restart()
            raise Interrupted(f"after resuming, the {problem}")
        except Interrupted as error:
            # Occasional connection failures do not end a long download, as long as it makes progress.
            length = part.length()
            failures = 1 if length > furthest else failures + 1
            furthest = max(furthest, length)
            if failures >= ATTEMPTS:
                raise OSError(f"{url}: {error}; check the network and run again to continue") from error
            wait_sec = max(error.wait_sec, pause_sec * 2 ** (failures - 1))
            log.warning("%s: %s; trying again in %g s", url, error, wait_sec)
            time.sleep(wait_sec)


def _read_pause() -> float:
    """Return the first pause in seconds, from the environment variable DOWNLOAD_PAUSE_SEC."""
    value = os.environ.get("DOWNLOAD_PAUSE_SEC") or "1"
    try:
        pause_sec = float(value)
    except ValueError:
        pause_sec = math.nan
    if not 0 <= pause_sec <= 60:
        raise InputError(f"DOWNLOAD_PAUSE_SEC: {value!r} is not a number of seconds from 0 to 60")
    return pause_sec


def _fetch(url: str, part: PartFile, sha256: str, size: int) -> None:
    """Append the missing bytes to `part` in one attempt. If it belongs to another version of the file, start again."""
    version = part.version()
    if version is not None and version.url != url:
        version = None
    if version is None and not sha256:
        part.restart()  # nothing would show that the parts belong together
    offset = part.length()
    # "identity": a compressed reply would match neither the checksum nor the range.
    headers = {"User-Agent": "hifigan-recipe", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if version is not None:
            headers["If-Range"] = version.name
    with open_url(url, headers) as reply:
        total = _match_reply(url, reply, part, offset, version, bool(sha256))
        if total == offset and offset:
            return  # the file was already complete
        if reply.status == 200:
            offset = 0
            part.restart(read_version(url, reply.headers))
        if not sha256:
            _check_kind(url, reply.headers, part.path.stem)
        limit = size or LARGEST_BYTES
        if total is not None and total > limit:
            raise InputError(f"{url}: the size is {total} bytes, {f'not {size}' if size else f'more than {limit}'}")
        _check_space(part, offset, total)
        _append_body(url, reply, part, offset, total, limit)


def _match_reply(
    url: str, reply: Reply, part: PartFile, offset: int, version: Version | None, will_be_verified: bool
) -> int | None:
    """Return the length of the whole file, None if unknown, after a check that the reply continues `part`.

    Raises:
        Interrupted: it does not; `part` is then empty, for the next attempt.
    """
    if reply.status == 200:
        return _parse_length(reply.headers)
    first, total = _parse_range(reply.headers)
    named = read_version(url, reply.headers).name
    if reply.status == 416:
        if first is None and total == offset and offset:
            return total
        problem = "the server refused to continue the download"
    elif not offset or first != offset or total is None or total <= offset:
        problem = "the server sent another part of the file than was asked for"
    elif version is not None and named != version.name and (named or not will_be_verified):
        problem = "the file has changed on the server"
    else:
        return total
    part.restart()
    raise Interrupted(problem)


def _parse_range(headers: Message) -> tuple[int | None, int | None]:
    """Parse `Content-Range`: `bytes 5-9/10` -> (5, 10), `bytes */10` -> (None, 10), missing -> (None, None)."""
    found = re.match(r"bytes (?:\*|(\d{1,18})-\d+)/(\d{1,18})$", headers.get("Content-Range", ""), re.ASCII)
    return (int(found[1]) if found[1] else None, int(found[2])) if found else (None, None)


def _parse_length(headers: Message) -> int | None:
    value = headers.get("Content-Length", "")
    return int(value) if re.fullmatch(r"\d{1,18}", value, re.ASCII) and "Transfer-Encoding" not in headers else None


def _check_kind(url: str, headers: Message, name: str) -> None:
    """Refuse a reply that is obviously not the file. Only a checksum knows better.

    Raises:
        InputError: a web page, or a compressed form of the file.
    """
    if headers.get_content_type() == "text/html" and not _may_be_web_page(name):
        raise InputError(f"{url}: the {WEB_PAGE}, perhaps one to sign in; give the address of the file itself")
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise InputError(f"{url}: the server sent the file compressed ({encoding[:20]}); give another address")


def _may_be_web_page(name: str) -> bool:
    return name.lower().endswith((".html", ".htm"))


def _check_space(part: PartFile, offset: int, total: int | None) -> None:
    """Fail before the disk is full.

    Raises:
        OSError: it has no room for the rest.
    """
    missing = (total or 0) - offset
    free = shutil.disk_usage(part.path.parent).free
    if missing > free:
        raise OSError(
            f"{part.path}: {missing / MEGABYTE:.1f} MB are missing, but the disk has only {free / MEGABYTE:.1f} MB "
            "free; make room and run again to continue"
        )


def _append_body(url: str, reply: Reply, part: PartFile, done: int, total: int | None, limit: int) -> None:
    """Append the body to `part`. Only network failures, not disk failures, are worth another attempt."""
    progress = _Progress(total)
    try:
        while chunk := read_some(reply, CHUNK_BYTES):
            done += len(chunk)
            if done > limit:
                raise InputError(f"{url}: the server sends more than {limit} bytes; give another address")
            part.append(chunk)
            progress.show(done)
    finally:
        progress.close()
    # http.client does not report a body that was cut short.
    if total is not None and done != total:
        raise Interrupted(f"the connection ended after {done} of {total} bytes")


def _find_mismatch(file: IO[bytes], sha256: str, size: int, name: str) -> str:
    """Describe how an open file does not match, as a clause for an error message. "" if it matches."""
    length = file.seek(0, os.SEEK_END)
    if not length:
        return "content is empty"
    if size and length != size:
        return f"size is {length} bytes, not {size}"
    if sha256 and (found := compute_sha256(file)) != sha256:
        return f"SHA-256 is {found}, not {sha256}{f' ({WEB_PAGE})' if _starts_like_web_page(file) else ''}"
    if not sha256 and not _may_be_web_page(name) and _starts_like_web_page(file):
        return WEB_PAGE
    return ""


def _starts_like_web_page(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith((b"<!doctype html", b"<html"))


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
