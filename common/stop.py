"""Signals that ask a program to save and end."""

from __future__ import annotations

import signal
import sys


class StopSignals:
    """Notes SIGTERM and SIGINT, so that the step under way is finished and saved; a second one ends at once."""

    def __init__(self) -> None:
        self.received = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        if self.received:
            sys.exit(128 + number)
        self.received = number
