"""Care for the processes that load data."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator


def stop_loader_processes() -> None:
    """Ends the processes of this module's loaders, which do not listen to SIGTERM; else the program waits for them."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler would raise an error for each of them
    for process in multiprocessing.active_children():
        process.kill()


@contextlib.contextmanager
def lost_loaders_named() -> Iterator[None]:
    """Tells in one line that a process which loads audio was killed.

    Raises:
        OSError: instead of PyTorch's RuntimeError.
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
    # Ctrl-C and torchrun's SIGTERM reach these processes too; the trainer must be able to finish its step and save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
