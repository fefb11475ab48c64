"""Flags of `python -m voice.pack`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from common.cli import ArgumentParser, add_flags, flag, share
from common.download.hub import find_fastpitch, find_generator
from common.errors import InputError

PRECISIONS = ("fp16", "fp32")
MAX_GAIN_DB = 60


@dataclasses.dataclass(frozen=True)
class PackConfig:
    """The checkpoints of a voice, and its folder."""

    hifigan: str = flag(
        "",
        "generator checkpoint of any public format, a model's folder or a hub name, org/name",
        metavar="NAME|PATH",
        required=True,
        convert=find_generator,
    )
    hifigan_config: str = flag(
        "", "v1, v2, v3 or a JSON file, for checkpoints without a generator configuration", metavar="NAME|PATH"
    )
    hifigan_ema: bool = flag(False, "take the generator's moving average of the weights (from training with --ema)")
    hifigan_base: str = flag(
        "",
        "generator that it was fine-tuned from, to average the weights of both",
        metavar="NAME|PATH",
        convert=find_generator,
    )
    base_share: float = flag(
        0.15,
        "share of that generator in the average, 0 to 1: more of it sounds cleaner, but less like the speaker",
        only_with="hifigan_base",
    )
    fastpitch: str = flag(
        "",
        "FastPitch checkpoint, a model's folder or a hub name, org/name",
        metavar="NAME|PATH",
        required=True,
        convert=find_fastpitch,
    )
    fastpitch_ema: bool = flag(False, "take the moving average of its weights")
    speech_gain_db: float = flag(
        0.0,
        "raise the level of the speech by this number of dB: a FastPitch of quiet recordings makes quiet mels, but "
        "vocoders are trained on clips with a peak of 0.95",
    )
    card: str = flag(
        "", "model card in Markdown, which becomes README.md of the folder; without it, a short one", metavar="PATH"
    )
    precision: str = flag("fp16", "precision of matrices and kernels in the files", choices=PRECISIONS)
    output: str = flag("", "folder of the voice", short=("-o",), metavar="PATH", required=True)

    def __post_init__(self) -> None:
        share(base_share=self.base_share)
        if not abs(self.speech_gain_db) <= MAX_GAIN_DB:
            raise InputError(
                f"--speech-gain-db: {self.speech_gain_db:g} is not between -{MAX_GAIN_DB} and {MAX_GAIN_DB}"
            )
        if self.card and not Path(self.card).is_file():
            raise FileNotFoundError(f"--card: {self.card}: no such file")


def make_parser() -> ArgumentParser:
    """Return the parser of `python -m voice.pack`."""
    parser = ArgumentParser(
        prog="voice.pack",
        description="Two checkpoints -> the folder of a voice: hifigan.safetensors, fastpitch.safetensors and "
        "README.md. inference.py --voice DIR speaks with it, and training can start from its files.",
    )
    add_flags(parser, PackConfig, "voice")
    return parser
