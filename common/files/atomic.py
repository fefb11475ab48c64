"""Atomic writes: a file appears complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import socket
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from common.errors import InputError

_LONGEST_NAME_BYTES = 200  # of 255 in most file systems
_TEMPORARY = re.compile(r"\.(.+)\.([1-9]\d{0,9})(?:-([0-9a-f]{8}))?\.tmp(?:\.\w+)?", re.DOTALL)
# In temporary names, since machines that share a file system may have processes of the same number.
_MACHINE = f"{zlib.crc32(socket.gethostname().encode()):08x}"


def write_whole(path: Path, content: bytes | memoryview, *, sync: bool = False, one_of_many: bool = False) -> None:
    """Write a file atomically (see `replacing`)."""
    with replacing(path, sync=sync, one_of_many=one_of_many) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path, *, suffix: str = "", sync: bool = False, one_of_many: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` on success and is removed on failure.

    What killed processes left of the same file is removed, too.

    Args:
        path: the final path. Its folder is created.
        suffix: suffix of the temporary path, for writers that depend on it.
        sync: also survive a power cut.
        one_of_many: do not look for what killed processes left, which takes time in large folders. The caller does so
            once for all files, by `remove_leftovers`.

    Raises:
        OSError: with the file's name. Python's own errors of a full disk have none.
        InputError: `path` is a device or a pipe, such as /dev/null, which a file would replace.
    """
    if not path.is_symlink() and path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: is a device or a pipe, which a file would replace; name a file")
    with beside(path, suffix=suffix, one_of_many=one_of_many) as temporary:
        yield temporary
        if sync:
            replace_synced(temporary, path)
        else:
            rename(temporary, path)


@contextlib.contextmanager
def beside(path: Path, *, suffix: str = "", one_of_many: bool = False) -> Iterator[Path]:
    """Yield a name for a temporary file or folder beside `path`, which is removed at the end. See `replacing`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not one_of_many:
        _remove(path.parent, {_short(path.name)}, _was_killed_here)
    temporary = path.with_name(f".{_short(path.name)}.{os.getpid()}-{_MACHINE}.tmp{suffix}")
    try:
        yield temporary
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        if temporary.is_dir() and not temporary.is_symlink():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def _short(name: str) -> str:
    """Shorten a file name so that the temporary name stays within the system's limit, too."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= _LONGEST_NAME_BYTES else hashlib.sha256(encoded).hexdigest()


def replace_synced(source: Path, target: Path) -> None:
    """Rename a complete file. After a power cut, `target` is either the old file or the whole new one."""
    sync_to_disk(source)
    rename(source, target)
    sync_to_disk(target.parent)


def rename(source: Path, target: Path) -> None:
    """Rename a file, which replaces `target`.

    A network file system repeats a request whose answer was lost. The second one fails, as the file has its
    new name by then.

    Raises:
        OSError: the file was not renamed.
    """
    renamed = source.stat()
    try:
        source.replace(target)
    except OSError:
        with contextlib.suppress(OSError):
            if os.path.samestat(target.stat(), renamed) and not source.exists():
                return
        raise


def sync_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, have reached the disk, as far as the file system can do so."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # such as for folders on some network disks
            raise
    finally:
        os.close(descriptor)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove temporary files that killed processes left beside these paths. No process may be writing them."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(_short(path.name))
    for folder, known in names.items():
        _remove(folder, known, lambda process, machine: True)


def _remove(folder: Path, names: set[str], condition: Callable[[int, str | None], bool]) -> None:
    """Remove the temporary files of these names in a folder whose process and machine meet a condition."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if not match or match[1] not in names or not condition(int(match[2]), match[3]):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry, ignore_errors=True)
            else:
                Path(entry).unlink(missing_ok=True)


def _was_killed_here(process: int, machine: str | None) -> bool:
    if machine != _MACHINE:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's
        pass
    return False
