from __future__ import annotations

import pytest
import torch

from common.machine.timing import latency_summary, now_sec


def test_percentiles_are_those_of_the_measurements() -> None:
    # One slow run of 101: a normal distribution fitted to it would put 95 % far above what was measured.
    summary = latency_summary([*(k / 100 for k in range(100)), 50.0])
    assert summary["latency_avg"] == pytest.approx((49.5 + 50) / 101)
    assert summary["latency_50%"] == pytest.approx(0.5)
    assert summary["latency_90%"] == pytest.approx(0.9)
    assert summary["latency_95%"] == pytest.approx(0.95)
    assert summary["latency_99%"] == pytest.approx(0.99)


def test_time_goes_on() -> None:
    device = torch.device("cpu")
    assert now_sec(device) <= now_sec(device)
