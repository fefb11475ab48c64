"""Faults of a run's surroundings, installed in the process that meets with them (see `nursery`)."""

from __future__ import annotations

import builtins
import contextlib
import datetime
import io
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch

import train
from common.training import checkpoint_store, loop, state
from common.training.log import RunLog


def flush() -> None:
    """Write what standard output holds, as the interpreter does at its end. `os._exit` does not."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def _replace(function: object, *owners: object, name: str) -> None:
    for owner in owners:
        setattr(owner, name, function)


def full_disk(match: str, after: int, number: int = 28, times: int = 10**9) -> None:
    """Let files whose path matches take `after` bytes. Further bytes raise an error (28: no space is left).

    Args:
        times: number of opened files that it happens to. Later ones are whole.
    """
    pattern, left = re.compile(match), times
    plain = io.open

    class FullFile(io.FileIO):
        room = after

        def write(self, content: Any, /) -> int:
            view = memoryview(content).cast("B")
            if view.nbytes and self.room <= 0:
                raise OSError(number, os.strerror(number))
            written = super().write(view[: self.room]) or 0
            self.room -= written
            return written

    def opened(file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, *args: Any, **kwargs: Any) -> Any:
        nonlocal left
        writes = set(mode) & set("wax+") and not isinstance(file, int)
        if not (writes and left and pattern.search(os.fsdecode(file))):
            return plain(file, mode, buffering, encoding, *args, **kwargs)
        left -= 1
        raw = FullFile(file, mode.replace("b", "").replace("t", ""))
        raw.room -= os.fstat(raw.fileno()).st_size  # of a file that is appended to
        writer = io.BufferedWriter(raw)
        return writer if "b" in mode else io.TextIOWrapper(writer, encoding)

    _replace(opened, io, builtins, name="open")


def failing_rename(match: str, number: int, is_done: bool, times: int = 1) -> None:
    """Let renames to a matching path report an error, though `is_done` makes them happen."""
    plain, left = os.replace, times

    def replace(source: Any, target: Any, **kwargs: Any) -> None:
        nonlocal left
        if not (left and re.search(match, os.fspath(target))):
            return plain(source, target, **kwargs)
        left -= 1
        if is_done:
            plain(source, target, **kwargs)
        raise OSError(number, os.strerror(number), os.fspath(source), None, os.fspath(target))

    _replace(replace, os, name="replace")


def failing_fsync(call: int, number: int) -> None:
    """Let the `call`-th wait for the disk report an error."""
    plain, count = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count == call:
            raise OSError(number, os.strerror(number))
        plain(descriptor)

    _replace(fsync, os, name="fsync")


def at(place: str, call: int, number: int) -> None:
    """Send this process a signal at the `call`-th arrival at a place of the program."""
    count = 0
    owner: Any
    owner, name = {
        "check": (loop, "check_datasets"),
        "lock": (loop, "lock_folder"),
        "resume": (state.BaseTrainState, "restore"),
        "load": (checkpoint_store, "read_file"),
        "step": (train, "discriminator_step"),
        "generator step": (train, "generator_step"),
        "validation": (train, "to_batch"),
        "log": (RunLog, "_write"),
        "save": (torch, "save"),
        "rename": (os, "replace"),
        "fsync": (os, "fsync"),
        "unlink": (os, "unlink"),
    }[place]
    plain = getattr(owner, name)

    def arrive(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        if place != "validation" or not args[1].generator.training:
            count += 1
            if count == call:
                os.kill(os.getpid(), number)
        return plain(*args, **kwargs)

    setattr(owner, name, arrive)


def rank_at(rank: int, place: str, call: int, number: int) -> None:
    """Send a signal as `at` does, in one of several processes."""
    if os.environ.get("RANK") == str(rank):
        at(place, call, number)


def stopped_after_first_step() -> None:
    """Stop the main process, until SIGCONT, once it has logged a step."""
    plain = RunLog.train

    def train_and_stop(self: RunLog, epoch: int, *args: Any) -> None:
        plain(self, epoch, *args)
        if epoch == 1 and os.environ.get("RANK", "0") == "0":
            os.kill(os.getpid(), signal.SIGSTOP)

    _replace(train_and_stop, RunLog, name="train")


def clock(seconds: float, call: int) -> None:
    """Set the clock by this number of seconds at the `call`-th time that the program reads it."""
    plain, count = time.time, 0

    def now() -> float:
        nonlocal count
        count += 1
        return plain() + (seconds if count >= call else 0.0)

    class Datetime(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls.fromtimestamp(now(), tz)

    time.time = now
    datetime.datetime = Datetime  # type: ignore[misc]


def closed_stdout(step: int) -> None:
    """Close the reader of standard output, as when a terminal or `tee` has ended, after this optimiser step."""
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    os.close(writer)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python does
    plain = RunLog.train

    def train_and_close(self: RunLog, epoch: int, at_step: int, *args: Any) -> None:
        if epoch == step:
            with contextlib.suppress(OSError):
                os.close(reader)
        plain(self, epoch, at_step, *args)

    _replace(train_and_close, RunLog, name="train")


def replaced_file(source: str, target: str) -> None:
    """Replace a file, or remove it if `source` is empty, after the step of epoch 2."""
    plain = RunLog.train

    def train_and_replace(self: RunLog, epoch: int, *args: Any) -> None:
        plain(self, epoch, *args)
        if epoch == 2:
            Path(target).unlink()
            if source:
                shutil.copyfile(source, target)

    _replace(train_and_replace, RunLog, name="train")


def nothing() -> None:
    """Let everything go well."""


def limited_files(bytes_: int) -> None:
    """Let no file of this process grow beyond this size (EFBIG)."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))


def other_user(uid: int, folder: str) -> None:
    """Continue as a user who may read but not write a folder."""
    for path in (Path(folder), *Path(folder).rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    os.setgid(uid)
    os.setuid(uid)
