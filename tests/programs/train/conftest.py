"""Data sets and a reference run that the tests of train.py share."""

import shutil
from pathlib import Path

import pytest

from hifigan import discriminators
from tests.support.data_sets import write_data_set
from tests.support.models import thin_layers
from tests.support.programs import train_arguments
from tests.support.training import THIN, finished, train_process


@pytest.fixture(scope="session")
def data_set(tmp_path_factory):
    """Nine clips, one shorter than a segment and one exactly as long, seven of them for training."""
    return write_data_set(
        tmp_path_factory.mktemp("data") / "set", [0.5, 0.06, 2048 / 22050, 0.4, 0.3, 0.5, 0.4, 0.3, 0.4]
    )


@pytest.fixture
def thin_discriminators(monkeypatch):
    """Reduce the size of steps and checkpoints in tests of the loop."""
    for name, layer in thin_layers().items():
        monkeypatch.setattr(discriminators, name, layer)


@pytest.fixture(scope="session")
def undisturbed(data_set, tmp_path_factory):
    """Train two epochs of three steps without a pause, in a separate process with thin discriminators."""
    output = tmp_path_factory.mktemp("undisturbed")
    status, stdout, stderr = finished(train_process(*THIN, *train_arguments(data_set, output, batch_size=2, epochs=2)))
    assert status == 0, stderr
    return output, stdout


@pytest.fixture
def own_copy(data_set, tmp_path):
    return Path(shutil.copytree(data_set, tmp_path / "set"))
