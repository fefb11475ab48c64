"""Signals and errors of the processes that load data."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import shutil
import signal
from collections.abc import Iterator

from common.errors import InputError

# PyTorch's words for a full /dev/shm, in this process and in a loader.
_SHARED_MEMORY = re.compile(r"/torch_\d+|shared memory \(shm\)|insufficient shared memory|Bus error")


def stop_loader_processes() -> None:
    """Kill the loader processes, which ignore SIGTERM and would keep the program from ending."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler would raise an error for each
    for process in multiprocessing.active_children():
        process.kill()


@contextlib.contextmanager
def lost_loaders_named() -> Iterator[None]:
    """Turn PyTorch's errors of loader processes into one line.

    Raises:
        OSError: a loader process was killed, or the memory that it shares with this process is full.
        InputError: it met an error of another type than `InputError` and `OSError`.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error)
        shared = _free_shared_memory()
        if _SHARED_MEMORY.search(reason) or ("DataLoader worker" in reason and shared is not None and shared < 1 << 20):
            raise OSError(
                f"shared memory (/dev/shm) is full, through which processes pass audio ({_describe_shared_memory()}): "
                "start the container with --ipc=host or --shm-size=8g, or give --num-workers 0"
            ) from error
        if "DataLoader worker" not in reason:
            raise
        if "Caught" in reason:  # raised by our code, whose traceback is in the message
            raise InputError(f"{reason.strip().splitlines()[-1]} (while loading audio)") from error
        raise OSError(
            "a process that loads audio was killed, perhaps for lack of memory: give fewer --num-workers"
        ) from error


def _free_shared_memory() -> int | None:
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:
        return None


def _describe_shared_memory() -> str:
    try:
        usage = shutil.disk_usage("/dev/shm")
    except OSError:
        return "there is none"
    return f"{usage.total / 2**20:.1f} MB, {usage.free / 2**20:.1f} MB free"


def leave_signals_to_the_parent(_: int) -> None:
    """Ignore Ctrl-C, torchrun's SIGTERM and the end of a terminal, so that the trainer can finish its step and save."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
