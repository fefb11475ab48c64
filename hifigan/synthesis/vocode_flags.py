"""Flags of `python -m hifigan.vocode`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from common.cli import ArgumentParser, add_flags, flag, not_negative
from common.download.hub import find_generator
from hifigan.engine.precisions import ALL_PRECISIONS, PRECISION_HELP

DEFAULT_MODEL = "hifigan-universal-v1"


@dataclasses.dataclass(frozen=True)
class VocodeConfig:
    """The generator, and how it runs."""

    hifigan: str = flag(
        "",
        "generator checkpoint of any public format, a model's folder or a hub name (org/name); without it, "
        f"{DEFAULT_MODEL}, downloaded if missing",
        metavar="NAME|PATH",
        convert=find_generator,
    )
    hifigan_config: str = flag(
        "", "v1, v2, v3 or a JSON file, for checkpoints without a generator configuration", metavar="NAME|PATH"
    )
    denoising_strength: float = flag(0.0, "share of the generator's hum that is subtracted; 0.005 to 0.1 is usual")
    cuda: bool = flag(False, "run on the GPU (without it: on the CPU)")
    precision: str = flag("fp32", PRECISION_HELP, choices=ALL_PRECISIONS)

    def __post_init__(self) -> None:
        not_negative(denoising_strength=self.denoising_strength)


def make_parser() -> ArgumentParser:
    """Return the parser of `python -m hifigan.vocode`."""
    parser = ArgumentParser(
        prog="hifigan.vocode",
        description="Turns the speech of one audio file into a mel spectrogram and back. The result has the "
        "generator's sampling rate, and the length and level of the original.",
        examples=("in.wav out.wav", "in.flac out.wav --hifigan G.pt"),
    )
    parser.add_argument(
        "source", metavar="IN", type=Path, help="audio file (wav, FLAC, OGG, MP3 and others), of any sampling rate"
    )
    parser.add_argument("target", metavar="OUT", type=Path, help="wav file to write")
    add_flags(parser, VocodeConfig, "vocoding")
    return parser
