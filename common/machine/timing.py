"""Wall-clock measurement: synchronised time, latency percentiles."""

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
