"""Locks that keep two processes from writing to the same place. The system releases them when a process dies."""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from common.errors import InputError
from common.files.atomic import remove_leftovers

log = logging.getLogger(__name__)

LOCK_FILE = ".lock"  # in a locked folder
WAIT_SEC = 10.0  # a process that was told to stop finishes its work and saves first
_POLL_SEC = 0.1
_LONGEST_RECORD_BYTES = 200
# What file systems without locks answer, such as some network and FUSE ones.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM)

_held: set[int] = set()  # descriptors that forked processes must not share


@contextlib.contextmanager
def lock_folder(
    folder: Path,
    remedy: str,
    *,
    name: str = LOCK_FILE,
    wait_sec: float = WAIT_SEC,
    poll: Callable[[], None] = lambda: None,
    shared_with_children: bool = False,
) -> Iterator[int]:
    """Keep other processes that lock it out of a folder. Yield the lock's descriptor.

    The folder is created, and removed if it is empty in the end. Where the file system has no locks, this only warns.

    Args:
        folder: the folder.
        remedy: what the user can do instead, such as "give another --output".
        name: the lock's file in the folder. It contains the holder's process, machine and start.
        wait_sec: how long to wait for another process.
        poll: called while waiting. It may raise an exception.
        shared_with_children: processes to which the descriptor is passed hold the lock too, beyond the end of this one.

    Raises:
        InputError: another process holds the lock, or the folder cannot be written. The message names both.
    """
    path = folder / name
    try:
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        file = _open_locked(path, wait_sec, poll)
    except _HeldError as error:
        holder = f"{error.holder}{' or a program that it started' * shared_with_children}"
        raise InputError(f"{folder}: {holder} is at work there; wait until it ends, stop it, or {remedy}") from None
    except OSError as error:
        what = path if path.exists() else folder  # another user may have left the lock's file
        raise InputError(f"{what}: cannot be written ({error.strerror or error}); {remedy}") from error
    with file:
        with contextlib.suppress(OSError):  # a full disk: the lock itself needs no space
            _record_holder(file)
        if shared_with_children:
            yield file.fileno()
            return
        with _kept_from_forks(file.fileno()):
            try:
                yield file.fileno()
            finally:
                path.unlink(missing_ok=True)  # before the lock is released: see `_is_still_at`
                if is_new:
                    with contextlib.suppress(OSError):  # it has files now
                        folder.rmdir()


@contextlib.contextmanager
def alone_in(folder: Path, remedy: str, files: Iterable[Path], *, wait_sec: float = WAIT_SEC) -> Iterator[None]:
    """Lock a folder (see `lock_folder`), and remove what killed processes left of these files."""
    with lock_folder(folder, remedy, wait_sec=wait_sec):
        remove_leftovers(files)
        yield


@contextlib.contextmanager
def open_locked(path: Path, busy: str) -> Iterator[IO[bytes]]:
    """Open a file for reading and appending, locked. It may be renamed, but not removed, by others that lock it.

    Args:
        path: the file, which is created.
        busy: the message if another process holds the lock.

    Raises:
        InputError: another process holds the lock.
        OSError: the file cannot be opened.
    """
    try:
        file = _open_locked(path, 0.0, lambda: None)
    except _HeldError:
        raise InputError(f"{path}: {busy}") from None
    with file, _kept_from_forks(file.fileno()):
        yield file


class _HeldError(Exception):
    """Another process holds a lock."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


def _open_locked(path: Path, wait_sec: float, poll: Callable[[], None]) -> IO[bytes]:
    deadline = time.monotonic() + wait_sec
    told = False
    while True:
        # A link could point to a file whose content a record would replace.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        file = os.fdopen(os.open(path, flags, 0o666), "a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still_at(path, file):
                return file
            file.close()
            continue
        except BlockingIOError:
            holder = _read_holder(file)
            file.close()
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                file.close()
                raise
            log.warning("%s: this file system has no locks; start only one process at a time there", path.parent)
            return file
        poll()
        if time.monotonic() >= deadline:
            raise _HeldError(holder)
        if not told:
            log.info("%s: waiting up to %g s until %s ends", path.parent, wait_sec, holder)
        told = True
        time.sleep(_POLL_SEC)


def _is_still_at(path: Path, file: IO[bytes]) -> bool:
    """Return whether a locked file has not been removed or renamed since it was opened: then others lock another."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _record_holder(file: IO[bytes]) -> None:
    # Without the file's buffer, which would try again to write it when the file is closed.
    os.ftruncate(file.fileno(), 0)
    now = datetime.datetime.now().isoformat(" ", "seconds")
    os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()} (since {now})\n".encode())


def _read_holder(file: IO[bytes]) -> str:
    """Return the holder in words. Its record may be missing, or contain anything."""
    with contextlib.suppress(OSError):
        text = os.pread(file.fileno(), _LONGEST_RECORD_BYTES, 0).decode(errors="replace")
        if text.startswith("process "):
            return text.splitlines()[0]
    return "another process"


@contextlib.contextmanager
def _kept_from_forks(descriptor: int) -> Iterator[None]:
    """Keep forked processes, such as those that load data, from holding a lock after this one was killed."""
    _held.add(descriptor)
    try:
        yield
    finally:
        _held.discard(descriptor)


def _release_in_fork() -> None:
    """Replace the descriptors rather than close them, since objects of the parent may still close their numbers."""
    if _held:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in _held:
            os.dup2(nowhere, descriptor, inheritable=False)
        os.close(nowhere)
        _held.clear()


os.register_at_fork(after_in_child=_release_in_fork)
