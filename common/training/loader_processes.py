"""Signals and errors of the processes that load data."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator


def stop_loader_processes() -> None:
    """Kill the loader processes, which ignore SIGTERM and would keep the program from ending."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler would raise an error for each
    for process in multiprocessing.active_children():
        process.kill()


@contextlib.contextmanager
def lost_loaders_named() -> Iterator[None]:
    """Turn PyTorch's error of a killed loader process into one line.

    Raises:
        OSError: a loader process was killed.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise OSError(
            "a process that loads audio was killed, perhaps for lack of memory: give fewer --num-workers"
        ) from error


def leave_signals_to_the_parent(_: int) -> None:
    """Ignore Ctrl-C and torchrun's SIGTERM, so that the trainer can finish its step and save."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
