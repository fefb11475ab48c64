"""The process of a program: its standard streams, and the signals that end it."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from common.errors import InputError

STOPPING = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what `kill` and job schedulers send
CLOSED_PIPE = 141  # exit status if the reader of stdout has ended, as shells report it (128 + SIGPIPE)


class Terminated(KeyboardInterrupt):
    """SIGTERM. Like Ctrl-C, it is no `Exception`, so that a job over many files ends."""


def describe_stop(stop: KeyboardInterrupt) -> tuple[str, int]:
    """Return a word for the end of a program by a signal, and its exit status."""
    number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
    return _WORDS[number], 128 + number


_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def end_at_signals(prog: str) -> None:
    """Let SIGINT and SIGTERM end the process at once, with one line. For the start, when nothing has been written.

    An exception would appear as a traceback of the imports.
    """

    def end(number: int, frame: object) -> None:
        report(f"{prog}: {_WORDS[signal.Signals(number)]}")
        os._exit(128 + number)

    for number in STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:  # as with nohup, or in the background of a script
            signal.signal(number, end)


def raise_at_signals() -> None:
    """Let the first SIGINT or SIGTERM raise an exception, so that temporary files are removed. A second one kills."""

    def stop(number: int, frame: object) -> None:
        for other in STOPPING:
            signal.signal(other, signal.SIG_DFL)
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    for number in STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Postpone SIGINT and SIGTERM, also in processes that start meanwhile.

    They are blocked for this thread and the new processes. Another thread may still receive one, whose handler Python
    would run here: in the middle of a fork, its exception would be printed and lost.
    """
    handlers = {}
    received: list[int] = []
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in STOPPING}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, lambda number, frame: received.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if callable(handler):
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if received:
        signal.raise_signal(received[0])


def open_standard_streams() -> None:
    """Open the null device in place of standard streams that are closed.

    A file that is opened later would get the number of one, and what libraries print would be written into it.
    `sys.stdout` stays None, for programs that write samples to it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def report(line: str) -> None:
    """Print a line to stderr, if anyone reads it."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def flush_stdout() -> None:
    """Write what was printed.

    Raises:
        BrokenPipeError: the reader has ended.
        InputError: it cannot be written.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"stdout: {error.strerror}") from error


def drop_stdout() -> bool:
    """Return whether stdout cannot be written. If so, drop the text that waits, which Python would write at its end."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, ValueError):  # closed, or without a file
        return False
    try:
        flush_stdout()
        lost = _has_no_reader(descriptor)
    except (OSError, InputError):
        lost = True
    if lost:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    return lost


def _has_no_reader(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))
