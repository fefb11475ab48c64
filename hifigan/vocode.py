"""Resynthesise one audio file: `python -m hifigan.vocode in.wav out.wav`. For many files, see inference.py."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from common.cli import check_command_line, from_flags, is_started, run
from hifigan.synthesis.vocode_flags import DEFAULT_MODEL, VocodeConfig, make_parser

if is_started(__name__):  # before PyTorch is imported, which takes seconds
    check_command_line(make_parser().parse_args, "hifigan.vocode")

from common import distributed
from common.audio import MelSpectrogram
from common.audio_files import describe_clipping, save_wav, wav_info
from common.download.models import fetch_models
from common.errors import InputError
from common.project import command, models_dir
from common.synthesis.sources import Target, utterance_from_audio
from hifigan.checkpoint import load_generator
from hifigan.engine.select import engine_backend
from hifigan.synthesis.vocoder import Vocoder

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    given = vars(make_parser().parse_args(argv))
    cfg = from_flags(VocodeConfig, given)
    source, target = given["source"], given["target"]
    check_files(source, target)
    device = distributed.select_device(cfg.cuda)
    checkpoint = cfg.hifigan or fetch_models([DEFAULT_MODEL], models_dir())[DEFAULT_MODEL]
    generator, info = load_generator(checkpoint, cfg.hifigan_config or None, device)
    engine = engine_backend(generator, cfg.precision)
    vocoder = Vocoder(engine, cfg.denoising_strength, info.audio.filter_length)
    takes = Target(info.contract, info.sampling_rate, peak_normalised=not info.program)
    utterance = utterance_from_audio(target.name, source, MelSpectrogram(info.audio, info.convention), takes)
    (wav,) = vocoder([utterance.mel])
    if clipped := save_wav(target, utterance.finished(wav), info.sampling_rate):
        log.warning("%s", describe_clipping({str(target): clipped}))
    log.info("%s -> %s, with %s", source, target, info.path)
    return 0


def check_files(source: Path, target: Path) -> None:
    """Raise unless `source` can be read, and `target` written without overwriting it.

    Raises:
        FileNotFoundError: no such source.
        InputError: a source or target that cannot be used.
    """
    if source.is_dir():
        raise InputError(f"{source}: is a folder; {command('python inference.py')} -i takes folders")
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
