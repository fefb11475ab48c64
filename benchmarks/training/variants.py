"""Processes of the training benchmark: started, asked, and stopped when they take too long."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.training.worker import serve


class VariantFailure(Exception):
    """A variant failed, was killed, or took too long. The message is one line."""


class VariantProcess:
    """A process that makes an object and calls its methods on request.

    Args:
        make: makes the object, in the process.
        words: arguments of `make`.
        limit_sec: how long the process may work in total.
    """

    def __init__(self, make: Callable[..., Any], words: tuple[Any, ...], limit_sec: float = math.inf) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, make, words, torch.get_num_threads()))
        self._process.start()
        theirs.close()
        self._limit_sec, self._worked_sec = limit_sec, 0.0

    def ask(self, method: str, *words: Any) -> Any:
        """Call a method of the object.

        Raises:
            VariantFailure: it failed, perhaps for lack of memory, or took too long. The process has ended then.
        """
        began = time.monotonic()
        try:
            self._pipe.send((method, words))
            patience = self._limit_sec - self._worked_sec
            if not self._pipe.poll(None if math.isinf(patience) else max(0.0, patience)):
                self.kill()
                raise VariantFailure(f"it was stopped after {self._limit_sec:.0f} s, in: {method}")
            result, error = self._pipe.recv()
        except (EOFError, OSError) as lost:
            self._process.join(5)
            raise VariantFailure(f"it was killed in: {method}, perhaps for lack of memory") from lost
        self._worked_sec += time.monotonic() - began
        if error:
            self.kill()
            raise VariantFailure(error)
        return result

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def close(self) -> None:
        """End the process, which has nothing left to do."""
        self._pipe.close()
        self._process.join(30)
        if self._process.is_alive():
            self.kill()
