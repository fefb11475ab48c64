"""Models and mels that the tests of inference.py share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.inference import LENGTHS, random_mel
from tests.support.models import make_checkpoint, make_fastpitch


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("model") / "generator.pt")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A generator, and a FastPitch of three voices."""
    folder = tmp_path_factory.mktemp("models")
    return make_checkpoint(folder / "generator.pt"), make_fastpitch(folder / "fastpitch.pt")


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with mels of very different lengths and a phrase file."""
    root = tmp_path_factory.mktemp("data")
    rows = []
    for name, frames in LENGTHS.items():
        path = root / "mels" / (f"{name}.npy" if name == "c" else f"{name}.pt")
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "c":
            np.save(path, random_mel(frames).numpy())
        else:
            torch.save(random_mel(frames), path)
        rows.append(f"{path.relative_to(root)}\t{name}")
    (root / "phrases.tsv").write_text("mel\toutput\n" + "\n".join(rows) + "\n")
    return root
