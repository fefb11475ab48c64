"""Signals that ask a program to save and end."""

from __future__ import annotations

import signal
import sys
import time

_IMPATIENT_SEC = 2.0  # torchrun forwards a signal that its processes may have received already


class StopSignals:
    """Record of SIGTERM, SIGINT and SIGHUP, so that the current step is finished and saved.

    A later Ctrl-C ends at once. SIGHUP is the end of a terminal, which `nohup` makes programs ignore.
    """

    def __init__(self) -> None:
        self.received = 0
        self._first_sec = 0.0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._note)

    @property
    def status(self) -> int:
        """The exit status of a stopped program, with SIGTERM's number if another process received the signal."""
        return 128 + (self.received or signal.SIGTERM)

    def _note(self, number: int, frame: object) -> None:
        now = time.monotonic()
        if not self.received:
            self.received, self._first_sec = number, now
        elif number == signal.SIGINT and now > self._first_sec + _IMPATIENT_SEC:
            sys.exit(128 + number)
