"""Texts for `inference.py --fastpitch`, and the output of the models for one text at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import inference
from common.text import TextProcessor
from fastpitch import FastPitchOutput, load_fastpitch
from fastpitch.pitch_transform import PitchTransform
from hifigan import load_generator
from tests.support.programs import wavs

TEXTS = {"b": "Hello there, Dr. Fox!", "a": "No.", "sub/c": "It is 10:30 a.m., and we are late.", "d": "Why?"}


LETTERS = TextProcessor(p_arpabet=0)


def words(models: tuple[Path, Path], source: Path, output: Path, *more: object) -> list[str]:
    files = ["--hifigan", str(models[0]), "--fastpitch", str(models[1])]
    return [*files, "-i", str(source), "-o", str(output), *map(str, more)]


def speak(models: tuple[Path, Path], content: str, folder: Path, *more: object) -> dict[str, np.ndarray]:
    """Speak a phrase file into a new folder below `folder`, and return the waveforms."""
    source = folder / "phrases.tsv"
    source.write_text(content)
    output = folder / f"out{len(list(folder.glob('out*')))}"
    assert inference.main(words(models, source, output, *more)) == 0
    return wavs(output)


@torch.no_grad()
def expected(
    models: tuple[Path, Path],
    text: str,
    transform: PitchTransform | None = None,
    pace: float = 1.0,
    speaker: int = 0,
    pitch: torch.Tensor | None = None,
) -> tuple[np.ndarray, FastPitchOutput]:
    """Return the output of the models for a single text."""
    model, _ = load_fastpitch(models[1])
    model.pitch_transform = transform
    output = model(torch.tensor([LETTERS.encode(text)]), pace, torch.tensor([speaker]), pitch)
    generator, _ = load_generator(models[0])
    return generator(output.mel).squeeze().numpy(), output


def lines(texts: dict[str, str] = TEXTS) -> str:
    return "".join(f"{name}.wav|{text}\n" for name, text in texts.items())


def close(made: np.ndarray, wanted: np.ndarray) -> None:
    assert made.shape == wanted.shape
    assert np.abs(wanted).max() > 0.01, "nearly silent: nothing was compared"
    assert np.abs(made - wanted).max() <= 1e-4
