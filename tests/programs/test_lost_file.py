"""A file that vanishes in the middle of training: the work so far is saved, and the next start goes on from there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.data_sets import write_data_set
from tests.support.programs import train_arguments
from tests.support.training import THIN, finished, train_process, weights


def saved_steps(output: Path) -> int:
    (path,) = output.glob("hifigan_gen*.pt")
    return torch.load(path, weights_only=True)["train_state"]["steps"]


CHANGES = {"epochs": 3, "checkpoint_interval": 10, "validation_interval": 10}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """Weights after an undisturbed run."""
    root = tmp_path_factory.mktemp("whole")
    folder = write_data_set(root / "set", [0.3] * 6)
    status, _, stderr = finished(train_process(*THIN, *train_arguments(folder, root / "out", **CHANGES)))
    assert status == 0, stderr
    return weights(root / "out", 3)[0]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_the_state_is_saved_first(tmp_path: Path, whole: dict[str, Tensor], workers: int) -> None:
    folder = write_data_set(tmp_path / "set", [0.3] * 6)
    changes = {**CHANGES, "num_workers": workers}
    lost = folder / "wavs" / "clip001.wav"
    shutil.copy(lost, tmp_path / "kept.wav")
    argv = [*THIN, *train_arguments(folder, tmp_path / "out", **changes)]
    variables = {"LOSE_AFTER_STEP": "1", "LOST": str(lost)}
    status, stdout, stderr = finished(train_process(*argv, variables=variables))
    assert status == 1
    assert stderr.strip().splitlines()[-1] == f"train.py: error: {lost}: no such file"
    assert "saved" in stdout
    assert 5 <= saved_steps(tmp_path / "out") < 12
    shutil.copy(tmp_path / "kept.wav", lost)
    status, _, stderr = finished(train_process(*argv))
    assert status == 0, stderr
    found = weights(tmp_path / "out", 3)[0]
    assert all(torch.equal(found[name], value) for name, value in whole.items())


@pytest.mark.slow
def test_several_processes_end_together(tmp_path: Path) -> None:
    """None waits for another one's gradients."""
    folder = write_data_set(tmp_path / "set", [0.3] * 14)
    lost = folder / "wavs" / "clip001.wav"
    argv = train_arguments(folder, tmp_path / "out", epochs=4, checkpoint_interval=10, validation_interval=10)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    variables = {"LOSE_AFTER_STEP": "1", "LOST": str(lost)}
    status, stdout, stderr = finished(train_process(*launcher, *THIN, *argv, variables=variables))
    assert status != 0
    assert f"train.py: error: {lost}: no such file" in stderr
    assert "saved" in stdout
    assert 6 <= saved_steps(tmp_path / "out") < 24
