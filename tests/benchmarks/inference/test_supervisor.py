"""A process that hangs or dies is started again, and goes on behind the way that it was in."""

import os
import time

import pytest

from benchmarks.inference.config import VocoderBenchmarkConfig
from benchmarks.inference.supervisor import STARTING, supervise
from benchmarks.journal import Journal
from common.errors import InputError


def measure(cfg, journal, messages, threads):
    """Measure ways of these names until one hangs or kills the process."""
    failed = {record["name"] for record in journal.records("failed")}
    for way in cfg.backends:
        if way in failed or way in [record["name"] for record in journal.records("row")]:
            continue
        messages.send(("task", way))
        if "hangs" in way:
            time.sleep(1000)
        if "dies" in way:
            os.kill(os.getpid(), 9)
        if "refuses" in way:
            messages.send(("error", "no such checkpoint"))
            return
        journal.add("row", name=way)
    messages.send(("end", ""))


def dies_at_once(cfg, journal, messages, threads):
    journal.add("row", name="begun")
    os.kill(os.getpid(), 9)


def run(tmp_path, backends, target=measure, **settings):
    journal = Journal(tmp_path / "a.jsonl")
    began = time.monotonic()
    cfg = VocoderBenchmarkConfig(hifigan=("v1",), backends=backends, **settings)
    supervise(cfg, journal, target)
    assert time.monotonic() - began < 240
    failures = {record["name"]: record["reason"] for record in journal.records("failed")}
    return [record["name"] for record in journal.records("row")], failures


@pytest.mark.medium
def test_the_rest_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.inference.supervisor.LEAST_PATIENCE_SEC", 1.0)
    rows, failures = run(tmp_path, ("a", "dies", "b", "hangs", "c"), minutes=3.0, variant_minutes=0.1)
    assert rows == ["a", "b", "c"]
    assert failures == {
        "dies": "the process was killed, perhaps for lack of memory",
        "hangs": "a call took longer than 6 s",
    }


@pytest.mark.medium
def test_the_end_of_the_time_is_the_end(tmp_path):
    rows, failures = run(tmp_path, ("a", "hangs", "b"), minutes=0.15)
    assert rows in ([], ["a"])
    assert failures == {}
    (skipped,) = Journal(tmp_path / "a.jsonl", continued=True).records("skipped")
    assert skipped["reason"].endswith(", and what follows (the time was over: --minutes)")


def test_models_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such checkpoint"):
        run(tmp_path, ("refuses",))


def test_a_process_that_cannot_start_is_not_started_forever(tmp_path):
    rows, failures = run(tmp_path, (), dies_at_once)
    assert rows == ["begun"]
    assert list(failures) == [STARTING]
