"""A data set, the process that runs are forked from, and undisturbed runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stress.training.nursery import Nursery
from tests.stress.training.runs import Run
from tests.support.data_sets import write_data_set


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    process = Nursery()
    yield process
    process.close()


@pytest.fixture(scope="session")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips for training, of one or two processes, and one for validation."""
    folder = write_data_set(tmp_path_factory.mktemp("data") / "set", [0.3] * 4)
    (folder / "val.txt").write_text("wavs/clip003.wav\n")
    return folder


@pytest.fixture(scope="session")
def undisturbed(nursery: Nursery, data_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that trains without a fault, once for each number of processes and epochs."""
    made: dict[str, Path] = {}

    def train(ranks: int = 1, **changes: object) -> Path:
        key = f"{ranks}{changes}"
        if key not in made:
            run = Run(nursery, data_set, tmp_path_factory.mktemp("undisturbed") / "out", ranks, **changes)
            run.finish()
            made[key] = run.output
        return made[key]

    return train


@pytest.fixture
def run(nursery: Nursery, data_set: Path, tmp_path: Path) -> Run:
    """A run in a directory of its own."""
    return Run(nursery, data_set, tmp_path / "out")
