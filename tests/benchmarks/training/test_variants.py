"""Processes that answer, fail, die, or hang. Their objects are modules of Python."""

import importlib
import time

import pytest

from benchmarks.training.variants import VariantFailure, VariantProcess


def test_a_process_answers_fails_and_is_stopped_when_it_hangs():
    variant = VariantProcess(importlib.import_module, ("time",), limit_sec=60)
    assert variant.ask("sleep", 0) is None
    with pytest.raises(VariantFailure, match="must be str, not int"):
        variant.ask("strftime", 1)
    variant._limit_sec = variant._worked_sec + 0.5  # its start alone may take seconds
    with pytest.raises(VariantFailure, match="it was killed in: sleep"):
        variant.ask("sleep", 0)
    hanging = VariantProcess(importlib.import_module, ("time",))
    hanging.ask("sleep", 0)
    hanging._limit_sec = hanging._worked_sec + 0.5
    began = time.monotonic()
    with pytest.raises(VariantFailure, match=r"it was stopped after \d+ s, in: sleep"):
        hanging.ask("sleep", 1000)
    assert time.monotonic() - began < 60
    assert not hanging._process.is_alive()


def test_a_process_that_dies_is_named():
    variant = VariantProcess(importlib.import_module, ("os",))
    with pytest.raises(VariantFailure, match="it was killed in: _exit, perhaps for lack of memory"):
        variant.ask("_exit", 9)
    variant.close()
