"""Run programs as child processes that stop with this one, and one start at a time in a folder."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from common.errors import InputError
from common.files.locks import lock_folder
from common.project import PROJECT
from common.training.stop_signals import StopSignals

log = logging.getLogger(__name__)
POLL_SEC = 0.2
LOCK_FILE = "lock"
LOCK_WAIT_SEC = 60.0  # a training whose starter was killed finishes its step and saves first
_PR_SET_PDEATHSIG = 1


class StoppedError(Exception):
    """A signal stopped the work. `status` is the exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"stopped with status {status}")
        self.status = status


class ProgramFailedError(InputError):
    """A program of a stage ended with an error, which it has printed."""


class ChildProcesses:
    """Runs the project's programs, and passes SIGTERM and SIGINT on to them. Training then saves and ends.

    Args:
        environment: variables of the programs, in addition to this process's own.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._stop = StopSignals()
        self._environment = {**os.environ, **environment}
        self.kept_open: tuple[int, ...] = ()

    def check(self) -> None:
        """Raise `StoppedError` if a signal came."""
        if self._stop.received:
            raise StoppedError(self._stop.status)

    def run(self, *commands: Sequence[str]) -> None:
        """Run programs of the repository at the same time, until all of them have ended.

        Args:
            commands: words after the interpreter.

        Raises:
            ProgramFailedError: one failed. The others are stopped.
            StoppedError: a signal came.
        """
        self.check()
        running = [self._start(command) for command in commands]
        failed: int | None = None
        told = False
        try:
            while True:
                statuses = [process.poll() for process in running]
                if failed is None:
                    failed = next((i for i, status in enumerate(statuses) if status), None)
                if None not in statuses:
                    break
                if not told and (self._stop.received or failed is not None):
                    told = True
                    for process in running:  # after a failure the others save and end
                        _signal_group(process, self._stop.received or signal.SIGTERM)
                time.sleep(POLL_SEC)
        finally:  # a second Ctrl-C ends this program at once
            for process in running:
                if process.poll() is None:
                    _signal_group(process, signal.SIGKILL)
        self.check()
        if failed is not None:
            raise ProgramFailedError(
                f"{describe(commands[failed])} ended with status {running[failed].returncode}, see its message above; "
                "then run the same command again, which keeps all finished work"
            )

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        log.info("%s", shlex.join(["python", *command]))
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=PROJECT,
            env=self._environment,
            start_new_session=True,  # signals of the terminal arrive once, from here, with the program's own processes
            preexec_fn=_end_with_parent(),
            pass_fds=self.kept_open,
        )


def describe(command: Sequence[str]) -> str:
    """Return the program of a command: `train.py`, or `fastpitch.train` for `-m fastpitch.train`."""
    words = [word for word in command if word.endswith(".py") or word.startswith(("fastpitch.", "common.", "voice."))]
    return words[0]


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _end_with_parent() -> functools.partial[int] | None:
    """Return a call for a new process, after which it gets SIGTERM when this one is killed. None if not on Linux."""
    if sys.platform != "linux":
        return None
    return functools.partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, int(signal.SIGTERM))


@contextlib.contextmanager
def only_start_in(folder: Path, children: ChildProcesses, wait_sec: float = LOCK_WAIT_SEC) -> Iterator[None]:
    """Keep other starts out of a folder, also while a training is still saving whose starter was killed.

    Raises:
        InputError: another start is at work there for `wait_sec` seconds.
        StoppedError: a signal came.
    """
    with lock_folder(
        folder,
        "give another --work",
        name=LOCK_FILE,
        wait_sec=wait_sec,
        poll=children.check,
        shared_with_children=True,  # the lock is free once this process and the programs have ended
    ) as descriptor:
        children.kept_open = (descriptor,)
        yield
