"""The command line, with cheap scenarios."""

import json

import pytest

from tests.benchmarks.gpu_simulation.conftest import run_simulation, start_simulation
from tests.support.paths import REPOSITORY

CHEAP = "cached-batch-16"


@pytest.mark.medium
@pytest.mark.gpu_simulated
def test_results_are_compared_and_described(tmp_path):
    before = tmp_path / "before.json"
    before.write_text(run_simulation("--json", CHEAP, "--checkout", str(REPOSITORY)))
    assert list(json.loads(before.read_text())) == [CHEAP]
    changed = json.loads(before.read_text().replace('"kernels": 7', '"kernels": 9'))
    before.write_text(json.dumps(changed))
    lines = run_simulation("--before", str(before), "cached", "--details").splitlines()
    assert lines[2].startswith(f"| {CHEAP} | 9 → 7 | 7 | 0 | 1 |")
    assert lines[4] == f"{CHEAP}:"
    assert "  crossings: 1 x segment_cache.py" in lines[5]


@pytest.mark.medium
@pytest.mark.gpu_simulated
def test_unknown_scenarios_are_refused():
    done = start_simulation("training-fp8", "engine")
    assert done.returncode == 2
    assert "no scenario begins with training-fp8; they are training-fp16-16, " in done.stderr
