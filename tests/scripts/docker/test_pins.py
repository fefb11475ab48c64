"""The versions that the container image installs."""

import os
import subprocess
import sys

import pytest

from tests.support.paths import REPOSITORY
from tests.test_requirements import PROJECT, ranges

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 cannot read pyproject.toml")


def list_pins(*extras, folder=REPOSITORY):
    command = [sys.executable, str(REPOSITORY / "scripts" / "docker" / "pins.py"), *extras]
    return subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True)


def names(done):
    assert done.returncode == 0, done.stderr
    return {line.partition("==")[0] for line in done.stdout.splitlines()}


def test_only_what_is_asked_for_is_installed():
    assert names(list_pins()) == set(ranges(""))
    assert names(list_pins("train")) == {*ranges(""), *ranges("train")}
    assert names(list_pins("train", "report")) >= {"librosa", "matplotlib"}
    pinned = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert set(list_pins("train", "report").stdout.splitlines()) == {
        line for line in pinned if not line.startswith("#")
    }


def test_errors_take_one_line(tmp_path):
    done = list_pins("nope")
    assert (done.returncode, done.stderr) == (1, "error: nope is not an extra of pyproject.toml\n")
    (tmp_path / "pyproject.toml").write_bytes((REPOSITORY / "pyproject.toml").read_bytes())
    (tmp_path / "requirements.txt").write_text("torch==1.0\n")
    second = PROJECT["dependencies"][1].partition(">")[0]
    done = list_pins(folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, f"error: requirements.txt has no version of {second}\n")
