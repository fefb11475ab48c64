"""Run prepare_dataset.py, and write audio for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import prepare_dataset
from common.cli import run


def tone(samples: int, rate: int = 22050, peak: float = 0.3) -> np.ndarray:
    time = np.arange(samples) / rate
    return peak * np.sin(2 * np.pi * (300 + 100 * time) * time)


def add(root: Path, name: str, wav: np.ndarray, rate: int = 22050, subtype: str | None = None) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wav, rate, subtype, format=path.suffix[1:].upper())
    return path


def prepare(root: Path, *words: object) -> int:
    return prepare_dataset.main(["-d", str(root), "--n-workers", "2", *map(str, words)])


def refused(capsys: pytest.CaptureFixture[str], root: Path, *words: object, status: int = 1) -> str:
    """Run the program as from the command line, and return its single line of error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        run(lambda: prepare(root, *words), "prepare_dataset.py")
    error = capsys.readouterr().err
    assert caught.value.code == status
    assert error.count("\n") == 1, error
    assert error.startswith("prepare_dataset.py: error: ")
    return error


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
