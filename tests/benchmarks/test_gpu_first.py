"""The first minutes on a GPU: stages that hang, fail or find something, and all stages on a CPU."""

import json
import logging
import os
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_first
from benchmarks.gpu import findings, machine, synthesis, training
from benchmarks.gpu_first import STAGES, GpuFirstConfig, main, run_all
from benchmarks.journal import Journal
from common.errors import InputError

# A program with stages that find something, fail, or hang with a process of their own.
PROGRAM = """
import os, subprocess, sys, time
from benchmarks.journal import Journal
from pathlib import Path
stage, folder = sys.argv[sys.argv.index("--stages") + 1], Path(sys.argv[sys.argv.index("--output") + 1])
Journal(folder / "gpu_first.jsonl", continued=True).add(stage, found=1)
if stage == "record":
    sys.exit(3)
if stage == "infer":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    (folder / "child").write_text(str(child.pid))
    time.sleep(1000)
"""


def is_running(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]


def test_each_finding_stays_whatever_happens_later(tmp_path, monkeypatch):
    monkeypatch.setitem(STAGES, "infer", (15, "synthesis"))
    journal = Journal(tmp_path / "gpu_first.jsonl")
    cfg = GpuFirstConfig(stages=("machine", "record", "infer", "kernels"), output=str(tmp_path))
    assert run_all(cfg, journal, sys.executable, "-c", PROGRAM) == 1
    found = [(record["kind"], record.get("found"), record.get("ended")) for record in journal.records()]
    assert found == [
        ("machine", 1, None),
        ("machine", None, "well"),
        ("record", 1, None),
        ("record", None, 3),
        ("infer", 1, None),
        ("infer", None, "stopped after 15 s"),
        ("kernels", 1, None),
        ("kernels", None, "well"),
    ]
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not is_running(child):
            break
        time.sleep(0.1)
    assert not is_running(child)


def test_no_stage_begins_when_the_time_is_over(tmp_path, monkeypatch):
    times = iter([0.0, 0.0, 0.0, 0.0, 600.0])
    monkeypatch.setattr(gpu_first.time, "monotonic", lambda: next(times, 600.0))
    journal = Journal(tmp_path / "gpu_first.jsonl")
    cfg = GpuFirstConfig(stages=("machine", "kernels"), output=str(tmp_path), minutes=5)
    run_all(cfg, journal, sys.executable, "-c", PROGRAM)
    assert journal.records()[-1] == {"kind": "kernels", "skipped": "5 minutes are over (--minutes)"}


def test_all_stages_take_less_than_nine_minutes():
    assert GpuFirstConfig().minutes * 60 <= 540
    assert sum(limit for limit, _ in STAGES.values()) < 700  # most end earlier


def test_every_stage_has_its_function(tmp_path):
    modules = {"machine": machine, "synthesis": synthesis, "training": training}
    for stage, (_, module) in STAGES.items():
        assert callable(getattr(modules[module], f"find_{stage}"))


def test_errors_and_warnings_are_findings(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    find = findings.Findings("machine", journal, True, tmp_path, time.time())
    logging.getLogger("hifigan").warning("without the GPU kernel %s", "x")
    with find.guarded("what"):
        raise ValueError("first\nsecond")
    with find.guarded("other"):
        find.say(value=float("nan"))
    failed, said = journal.records()
    assert (failed["what"], failed["failed"]) == ("what", "ValueError: first")
    assert failed["at"].startswith("test_gpu_first.py:")
    assert failed["warnings"] == ["without the GPU kernel x"]
    assert said["value"] == "nan"
    assert "warnings" not in said


def test_one_stage_at_a_time():
    with pytest.raises(InputError, match="--alone: takes exactly one of --stages"):
        GpuFirstConfig(alone=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_tried(tmp_path):
    with pytest.raises(InputError, match="no GPU on this machine; --dry"):
        main(["-o", str(tmp_path / "new")])
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.alone
def test_a_rehearsal_on_a_cpu_finds_everything(tmp_path):
    assert main(["--dry", "--minutes", "60", "-o", str(tmp_path)]) in (0, 1)  # a slow machine may exceed the limits
    records = [json.loads(line) for line in (tmp_path / "gpu_first.jsonl").read_text().splitlines()]
    assert [record for record in records if "failed" in record] == []
    by_stage = {stage: [r for r in records if r["kind"] == stage and "ended" not in r] for stage in STAGES}
    assert by_stage["machine"][0]["versions"].startswith("Python 3")
    assert len(by_stage["kernels"]) >= 5
    assert all(record["proved"] for record in by_stage["kernels"])
    assert [record["finite"] for record in by_stage["record"] if "finite" in record] == [True] * 4
    assert all(record["agreement"] < 1e-2 for record in by_stage["record"] if "agreement" in record)
    assert all(float(record["snr_db"]) > 35 for record in by_stage["infer"])
    assert [(record["program"], record["status"]) for record in by_stage["program"]] == [
        ("train", 0),
        ("resume", 0),
        ("inference", 0),
    ]
