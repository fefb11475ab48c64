"""The command line, with cheap scenarios."""

import json

import pytest

from benchmarks.gpu_simulation import guard
from benchmarks.gpu_simulation.__main__ import main
from tests.benchmarks.gpu_simulation.budgets import BEFORE
from tests.benchmarks.gpu_simulation.conftest import run_simulation
from tests.support.paths import REPOSITORY

CHEAP = "cached-batch-16"


@pytest.mark.medium
@pytest.mark.gpu_simulated
def test_results_are_compared_and_described(tmp_path):
    """The checkout is named by its path, as another one would be."""
    before = tmp_path / "before.json"
    before.write_text(json.dumps({CHEAP: {**BEFORE[CHEAP], "kernels": 9}}))
    words = ("cached", "--before", str(before), "--details", "--checkout", str(REPOSITORY))
    lines = run_simulation(*words).splitlines()
    assert lines[2].startswith(f"| {CHEAP} | 9 → 7 | 7 | 0 | 1 |")
    assert lines[4] == f"{CHEAP}:"
    assert "  crossings: 1 x segment_cache.py" in lines[5]


def test_unknown_scenarios_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(guard, "load_guard", lambda: None)  # PyTorch is imported already
    with pytest.raises(SystemExit) as stopped:
        main(["training-fp8", "engine"])
    assert stopped.value.code == 2
    assert "no scenario begins with training-fp8; they are training-fp16-16, " in capsys.readouterr().err
