"""What simulated scenarios may cost. A change that makes one cheaper lowers its budget: SLACK keeps them tight."""

from __future__ import annotations

import json
from typing import NamedTuple

from tests.support.paths import REPOSITORY

SLACK = 0.03  # of a budget, that may be unused
BEFORE = json.loads((REPOSITORY / "benchmarks" / "results" / "gpu-simulated-before.json").read_text(encoding="utf-8"))


class Budget(NamedTuple):
    """Largest cost of a scenario.

    Attributes:
        kernels: on the GPU.
        gigabytes: moved between its memory and its processors.
        peak_gib: of its memory.
        waits: of the CPU for the GPU.
        crossings: copies between the memories of host and GPU.
    """

    kernels: int
    gigabytes: float
    peak_gib: float
    waits: int = 0
    crossings: int = 0


BUDGETS: dict[str, dict[str, Budget]] = {
    "training": {
        "training-fp16-16": Budget(1509, 23.9, 2.46),
        "training-fp16-128": Budget(1509, 140.6, 9.81),
        "training-bf16-16": Budget(1509, 23.9, 2.46),
        "training-fp32-16": Budget(1482, 41.7, 3.57),
        "training-fp32-128": Budget(1482, 272.6, 18.12),
        "training-fp16-16-world-8": Budget(1595, 26.1, 2.46),
        "validation-fp16-16": Budget(1932, 14.5, 2.25, waits=1, crossings=1),
        "cached-batch-16": Budget(7, 0.004, 0.01, crossings=1),
    },
    "inference": {
        "engine-fp16-1": Budget(286, 5.6, 0.09),
        "engine-fp16-8": Budget(286, 44.8, 0.55),
        "vocoder-fp16-1": Budget(585, 6.0, 0.1, waits=2, crossings=1),
        "vocoder-fp16-8": Budget(648, 47.3, 0.56, waits=9, crossings=8),
        "vocoder-fp32-1": Budget(581, 11.7, 0.18, waits=2, crossings=1),
        "stream-fp16": Budget(715, 0.3, 0.05, waits=5, crossings=2),
        "denoiser": Budget(21, 0.07, 0.01, waits=1),
    },
    "fastpitch": {
        "fastpitch-training-fp16-lamb": Budget(2037, 25.1, 2.38, crossings=6),
        "fastpitch-training-fp32-adamw": Budget(1572, 27.9, 3.02, crossings=6),
        "fastpitch-synthesis-1": Budget(612, 0.8, 0.18, waits=1, crossings=3),
    },
}


def assert_within(budget, result):
    """Check a result against its budget, and that the budget is tight."""
    actual = measured(result)
    for name, limit in budget._asdict().items():
        spent = getattr(actual, name)
        assert spent <= limit, f"{name}: {spent:.4g} of {limit}"
        assert spent >= limit * (1 - SLACK) - ROUNDING[name], f"lower the budget of {name} from {limit} to {spent:.4g}"
    assert result["errors"] == []


ROUNDING = {"kernels": 0, "gigabytes": 0.05, "peak_gib": 0.005, "waits": 0, "crossings": 0}


def measured(result):
    return Budget(
        result["kernels"],
        result["moved_bytes"] / 1e9,
        result["peak_bytes"] / 2**30,
        len(result["waits"]),
        len(result["crossings"]),
    )
