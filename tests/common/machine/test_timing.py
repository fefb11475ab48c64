from __future__ import annotations

import pytest
import torch

from common.machine import timing
from common.machine.timing import TimeLeft, in_words, latency_summary, now_sec


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


def test_time_left_follows_the_pace_since_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resumed after 4 of 10 epochs, half an epoch takes 30 seconds: 5.5 more take 330."""
    clock = iter([100.0, 130.0, 130.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    left = TimeLeft(done=4, total=10)
    assert left.seconds(4.5) == pytest.approx(330)
    assert left.seconds(11) == 0


@pytest.mark.parametrize(("seconds", "words"), [
    (0.4, "0 s"), (89, "89 s"), (95, "2 min"), (3599, "1 h 00 min"), (12000, "3 h 20 min"),
])  # fmt: skip
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
