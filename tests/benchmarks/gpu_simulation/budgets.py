"""Budgets of simulated scenarios. A change that makes one cheaper lowers its budget: SLACK keeps them tight."""

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
        peak_gib: of its memory, and 1 % more, since it depends on when Python collects garbage.
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
        "training-fp16-16": Budget(1270, 23.6, 2.49),
        "training-fp16-128": Budget(1270, 141, 9.92),
        "training-fp32-16": Budget(1243, 41.4, 3.61),
        "training-fp32-128": Budget(1243, 273, 18.3),
        "training-fp16-16-world-8": Budget(1356, 25.8, 2.49),
        "validation-fp16-16": Budget(1918, 14.6, 2.28, waits=1, crossings=1),
        "cached-batch-16": Budget(7, 0.0124, 0.0106, crossings=1),
    },
    "inference": {
        "engine-fp16-1": Budget(83, 2.06, 0.0917),
        "vocoder-fp16-1": Budget(92, 2.06, 0.0919, waits=1, crossings=3),
        "vocoder-fp16-8": Budget(120, 16.3, 0.518, waits=1, crossings=10),
        "stream-fp16": Budget(89, 0.707, 0.0509, waits=1, crossings=2),
        "denoiser": Budget(18, 0.0577, 0.0141),
    },
    "fastpitch": {
        "fastpitch-training-fp16-lamb": Budget(2037, 25.2, 2.41, crossings=6),
        "fastpitch-training-fp32-adamw": Budget(1572, 27.9, 3.06, crossings=6),
        "fastpitch-synthesis-1": Budget(612, 0.847, 0.185, waits=1, crossings=3),
    },
}


def assert_within(budget, result):
    """Check a result against its budget, and that the budget is tight."""
    actual = measured(result)
    for name, limit in budget._asdict().items():
        spent = getattr(actual, name)
        assert spent <= limit, f"{name}: {spent:.4g} of {limit}"
        assert spent >= limit * (1 - SLACK), f"lower the budget of {name} from {limit} to {spent:.4g}"
    assert result["errors"] == []


def measured(result):
    return Budget(
        result["kernels"],
        result["moved_bytes"] / 1e9,
        result["peak_bytes"] / 2**30,
        len(result["waits"]),
        len(result["crossings"]),
    )
