"""Input of the programs that tests disturb: tiny models, a small data set, texts and mels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from tests.support.data_sets import write_speech_set
from tests.support.models import make_checkpoint, make_fastpitch

CLIPS = 6
TEXTS = 12


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Files below a folder that no program writes to."""

    root: Path

    @property
    def vocoder(self) -> Path:
        return self.root / "g.pt"

    @property
    def fastpitch(self) -> Path:
        return self.root / "f.pt"

    @property
    def texts(self) -> Path:
        return self.root / "texts.txt"

    @property
    def mels(self) -> Path:
        return self.root / "mels.tsv"

    @property
    def data(self) -> Path:
        return self.root / "set"


def write_inputs(root: Path) -> Inputs:
    """Write all input. File names have spaces, other alphabets and bytes that are no UTF-8."""
    inputs = Inputs(root)
    make_checkpoint(inputs.vocoder)
    make_fastpitch(inputs.fastpitch)
    write_speech_set(inputs.data, [0.4 + 0.05 * i for i in range(CLIPS)])
    inputs.texts.write_text("".join(f"a b{i % 3}/ü{i:02d}|Some words, number {i}.\n" for i in range(TEXTS)))
    (inputs.data / "mels").mkdir()
    lines = ["mel\toutput"]
    for i in range(TEXTS):
        generator = torch.Generator().manual_seed(i)
        torch.save(torch.randn(80, 20 + 7 * i, generator=generator) * 2 - 5, inputs.data / "mels" / f"m{i}.pt")
        lines.append(f"mels/m{i}.pt\tfrom mels/{i}")
    inputs.mels.write_text("\n".join(lines))
    return inputs
