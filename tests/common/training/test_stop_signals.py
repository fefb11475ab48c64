"""Signals that ask a program to save and end."""

import os
import signal

import pytest

from common.training import stop_signals
from common.training.stop_signals import StopSignals


def test_the_first_signal_is_noted_and_a_late_ctrl_c_ends_at_once(monkeypatch):
    clock = iter([0.0, 1.0, 3.0, 4.0])  # seconds of each signal
    monkeypatch.setattr(stop_signals.time, "monotonic", lambda: next(clock))
    signals = StopSignals()
    assert (signals.received, signals.status) == (0, 128 + signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    assert (signals.received, signals.status) == (signal.SIGINT, 128 + signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)  # passed on by torchrun
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.received == signal.SIGINT
    with pytest.raises(SystemExit) as stopped:
        os.kill(os.getpid(), signal.SIGINT)
    assert stopped.value.code == 128 + signal.SIGINT


@pytest.mark.parametrize("ignored", [True, False])
def test_the_end_of_the_terminal_unless_nohup_ignores_it(ignored):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        signals = StopSignals()
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.received == (0 if ignored else signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
