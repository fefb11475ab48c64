"""The description of a machine: commit and cores."""

import subprocess

from common.machine import hardware
from common.resources import available_cores
from prepare_dataset import PrepareConfig


def test_commit(tmp_path):
    assert hardware.commit(tmp_path) == "unknown"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path]
    subprocess.run([*git, "init", "-q"], check=True)
    assert hardware.commit(tmp_path) == "unknown"  # before the first commit
    (tmp_path / "file").write_text("a")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert hardware.commit(tmp_path) == head[:10]
    (tmp_path / "file").write_text("b")
    assert hardware.commit(tmp_path) == f"{head[:10]} with local changes"


def test_defaults_work_on_all_cores() -> None:
    assert PrepareConfig(extract_mels=True).n_workers == available_cores()
