"""Command lines and input of inference.py for mels and audio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import inference
from tests.support.programs import one_line_of_error, wavs

LENGTHS = {"a": 1, "sub/b": 70, "c": 3, "d": 23, "e": 45, "f": 2}


def random_mel(frames: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + frames)
    return torch.randn(80, frames, generator=generator) * 2 - 5


def command(checkpoint: Path, source: Path, output: Path, *more: object) -> list[str]:
    return ["--hifigan", str(checkpoint), "-i", str(source), "-o", str(output), *map(str, more)]


def from_mels(checkpoint: Path, dataset: Path, output: Path, *more: object) -> dict[str, np.ndarray]:
    source = dataset / "phrases.tsv"
    assert inference.main(command(checkpoint, source, output, "--dataset-path", dataset, *more)) == 0
    return wavs(output)


def refused(argv: list[str], capsys: pytest.CaptureFixture[str], status: int = 1) -> str:
    return one_line_of_error(inference.main, argv, capsys, status)


def tone(samples: int, rate: int = 22050) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * 300 * np.arange(samples) / rate)


class Code:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))
