"""Wall-clock measurement: synchronised time, latency percentiles, time left."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch


def now_sec(device: torch.device) -> float:
    """Return wall-clock seconds, after all work queued on `device` has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def latency_summary(latencies_sec: Sequence[float], name: str = "latency") -> dict[str, float]:
    """Return mean and empirical percentiles (no distribution is assumed) of latencies in seconds."""
    values = np.asarray(latencies_sec)
    summary = {f"{name}_avg": float(values.mean())}
    summary.update({f"{name}_{p}%": float(np.percentile(values, p)) for p in (50, 90, 95, 99)})
    return summary


class TimeLeft:
    """Estimate of the time that a long job still needs, from its pace since this was made.

    Args:
        done: what is done of the job already, such as 2.5 epochs.
        total: the whole job in the same unit.
    """

    def __init__(self, done: float, total: float) -> None:
        self._first, self._total = done, total
        self._began_sec = time.perf_counter()

    def seconds(self, done: float) -> float:
        """Return the seconds left when `done` is done, at the mean pace so far."""
        pace = (time.perf_counter() - self._began_sec) / max(done - self._first, 1e-9)
        return pace * max(0.0, self._total - done)


def in_words(seconds: float) -> str:
    """Return a duration in words: `3 h 20 min`, `12 min`, `40 s`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
