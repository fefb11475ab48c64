"""Small files of other programs with random weights, made by these programs: tests/formats."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from tests.support.paths import REPOSITORY

FOLDER = REPOSITORY / "tests" / "formats"
BESIDE = (".npy", ".json", ".yaml", ".yml", ".h5")
NAMES = sorted(path.name for path in FOLDER.iterdir() if (path / "mel.npy").is_file())
NEED_H5PY = [name for name in NAMES if (FOLDER / name / "stats.h5").is_file()]


def weights(folder: Path) -> Path:
    """Return the only file in a fixture's folder that holds weights."""
    (file,) = (path for path in folder.iterdir() if path.suffix not in BESIDE)
    return file


def copy_of(name: str, folder: Path) -> Path:
    """Copy the files of a fixture, which the test may then change, and return the file of weights."""
    shutil.copytree(FOLDER / name, folder, dirs_exist_ok=True)
    for path in ("mel.npy", "wav.npy"):
        (folder / path).unlink()
    return weights(folder)


def mel_of(name: str) -> torch.Tensor:
    """Return the mel [1, M, L] that the program was given."""
    return torch.from_numpy(np.load(FOLDER / name / "mel.npy"))[None]


def wav_of(name: str) -> np.ndarray:
    """Return the samples [T] that the program made of it, on one thread."""
    return np.load(FOLDER / name / "wav.npy")
