"""Findings of a stage of `benchmarks.gpu_first`, recorded at once, also when something fails."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.journal import Journal, plain
from common.errors import first_line
from common.machine import hardware
from common.machine.timing import now_sec


class Findings:
    """Says what a stage finds: to the journal and the terminal, at once, with the warnings since the last finding.

    Args:
        stage: its name.
        journal: of all stages.
        dry: on a CPU, with small models.
        folder: of further files.
        began: when the first stage began, in seconds of the clock.
    """

    def __init__(self, stage: str, journal: Journal, dry: bool, folder: Path, began: float) -> None:
        self.stage, self.dry, self.folder = stage, dry, folder
        self.device = torch.device("cpu") if dry else torch.device("cuda", 0)
        self.half = hardware.half_precision(self.device)
        self._journal = journal
        self._began = began
        self._warnings: list[str] = []
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: self._warnings.append(record.getMessage()[:300])  # type: ignore[method-assign]
        logging.getLogger().addHandler(handler)

    def say(self, **found: Any) -> None:
        if self._warnings:
            found["warnings"], self._warnings = self._warnings, []
        found = {"t": round(time.time() - self._began, 1), **found}
        self._journal.add(self.stage, **found)
        print(json.dumps(plain({"stage": self.stage, **found})), flush=True)

    @contextlib.contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Say an error, and go on."""
        try:
            yield
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            self.say(what=what, failed=f"{type(error).__name__}: {first_line(error)}", at=where)
        gc.collect()
        if not self.dry:
            torch.cuda.empty_cache()

    def milliseconds(self, work: Callable[[], Any], runs: int, warm_up: int = 2) -> float:
        """Return the median time of some work."""
        taken = []
        for number in range(warm_up + runs):
            began = now_sec(self.device)
            work()
            taken += [now_sec(self.device) - began] if number >= warm_up else []
        return round(1e3 * float(np.median(taken)), 3)

    def waits(self, work: Callable[[], Any]) -> int | None:
        """Return how often the CPU waits for the GPU in some work, or None on a CPU."""
        if self.dry:
            return None
        torch.cuda.synchronize()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                work()
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(warning.message) for warning in caught)
