"""Resynthesise one audio file: `python -m hifigan.vocode in.wav out.wav`. For many files, see inference.py."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from common import distributed
from common.audio import MelSpectrogram
from common.audio_files import save_wav, wav_info
from common.cli import ArgumentParser, add_flags, flag, from_flags, not_negative, run
from common.download.hub import find_generator
from common.download.models import fetch_models
from common.errors import InputError
from common.project import models_dir
from common.synthesis.sources import utterance_from_audio
from hifigan.checkpoint import load_generator
from hifigan.engine.select import ALL_PRECISIONS, PRECISION_HELP, engine_backend
from hifigan.synthesis.vocoder import Vocoder

log = logging.getLogger(__name__)

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


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(
        prog="hifigan.vocode",
        description="Turns the speech of one audio file into a mel spectrogram and back. The result has the "
        "generator's sampling rate, and the length and level of the original.",
        examples=("in.wav out.wav", "in.flac out.wav --hifigan G.pt"),
    )
    parser.add_argument("source", metavar="IN", type=Path, help="audio file: wav, FLAC or OGG, of any sampling rate")
    parser.add_argument("target", metavar="OUT", type=Path, help="wav file to write")
    add_flags(parser, VocodeConfig, "vocoding")
    given = vars(parser.parse_args(argv))
    cfg = from_flags(VocodeConfig, given)
    source, target = given["source"], given["target"]
    check_files(source, target)
    device = distributed.select_device(cfg.cuda)
    checkpoint = cfg.hifigan or fetch_models([DEFAULT_MODEL], models_dir())[DEFAULT_MODEL]
    generator, info = load_generator(checkpoint, cfg.hifigan_config or None, device)
    engine = engine_backend(generator, cfg.precision)
    vocoder = Vocoder(engine, cfg.denoising_strength, info.audio.filter_length)
    utterance = utterance_from_audio(target.name, source, MelSpectrogram(info.audio))
    (wav,) = vocoder([utterance.mel])
    save_wav(target, utterance.finished(wav), info.audio.sampling_rate)
    log.info("%s -> %s, with %s", source, target, info.path)
    return 0


def check_files(source: Path, target: Path) -> None:
    """Raise unless `source` can be read, and `target` written without overwriting it.

    Raises:
        FileNotFoundError: no such source.
        InputError: a source or target that cannot be used.
    """
    if source.is_dir():
        raise InputError(f"{source}: is a folder; inference.py -i takes folders")
    wav_info(source)
    if target.suffix.lower() != ".wav":
        raise InputError(f"{target}: the output is a wav file; end its name in .wav")
    if target.is_dir():
        raise InputError(f"{target}: is a folder; give the name of a wav file")
    if target.exists() and target.samefile(source):
        raise InputError(f"{target}: is the original, which would be overwritten; give another name")


def console() -> NoReturn:
    run(main, "hifigan.vocode")


if __name__ == "__main__":
    console()
