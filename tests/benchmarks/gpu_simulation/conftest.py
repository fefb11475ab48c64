"""Fixtures of the simulated GPU, which needs processes of its own: its stand-in for CUDA cannot be unloaded."""

import fcntl
import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.benchmarks.gpu_simulation.budgets import BUDGETS
from tests.support.paths import REPOSITORY


def require_compiler():
    """Skip the test if there is no compiler for the stand-in."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C++ compiler")


def environment():
    """Return the environment of a process that does not interpret kernels."""
    return {**{k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}, "OMP_NUM_THREADS": "1"}


def run_simulation(*words):
    """Run `python -m benchmarks.gpu_simulation`, and return its standard output."""
    require_compiler()
    command = [sys.executable, "-m", "benchmarks.gpu_simulation", *words]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def results_of(name, tmp_path_factory):
    """Return the results of a group of scenarios with budgets. The first process that asks simulates them."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # which all processes share
    file = folder / f"gpu-simulation-{name}.json"
    with (folder / f"gpu-simulation-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            file.write_text(run_simulation("--json", *BUDGETS[name]), encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def training(tmp_path_factory):
    return results_of("training", tmp_path_factory)


@pytest.fixture(scope="session")
def inference(tmp_path_factory):
    return results_of("inference", tmp_path_factory)


@pytest.fixture(scope="session")
def fastpitch(tmp_path_factory):
    return results_of("fastpitch", tmp_path_factory)
