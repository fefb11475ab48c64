"""The texts of a phrase file as a synthesis job."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import torch

from common.audio_config import AudioConfig
from common.data.mel_files import differences
from common.errors import InputError
from common.mel_contract import MelContract, in_words
from common.synthesis.outputs import Part, describe_saved_mels
from common.synthesis.phrases import Phrase
from common.synthesis.resume import SynthesisJob, unusable_inputs
from fastpitch.checkpoint import FastPitchInfo, load_fastpitch
from fastpitch.synthesis.flags import SpeechConfig
from fastpitch.synthesis.pieces import digests, read_pieces
from fastpitch.synthesis.synthesiser import Synthesiser
from fastpitch.synthesis.text_flags import text_processor

log = logging.getLogger(__name__)


def load_synthesiser(
    cfg: SpeechConfig, device: torch.device, torchscript: bool, amp: bool
) -> tuple[Synthesiser, FastPitchInfo]:
    """Load the FastPitch model that the flags ask for.

    Raises:
        FileNotFoundError, InputError: see `load_fastpitch`.
    """
    model, info = load_fastpitch(cfg.fastpitch, device, cfg.fastpitch_ema)
    return Synthesiser(model, cfg.pace, cfg.pitch_transform(), torchscript, amp), info


def check_models_fit(info: FastPitchInfo, vocoder: Path, wanted: MelContract) -> None:
    """Raise `InputError` unless FastPitch makes the mels that the vocoder of file `vocoder` takes."""
    if differing := differences(MelContract(info.audio), wanted):
        raise InputError(
            f"{info.path} and {vocoder} do not fit together: {in_words(differing)}; take two models with the same mel "
            "settings (python -m common.mel_contract A B compares them)"
        )


def speech_job(
    phrases: Sequence[Phrase],
    source: str | Path,
    dataset: Path,
    cfg: SpeechConfig,
    synthesiser: Synthesiser,
    info: FastPitchInfo,
) -> SynthesisJob:
    """Return the job of speaking the texts of phrases. All of them are read here; unusable ones are named and skipped.

    Args:
        phrases: what to speak.
        source: where they come from, such as a phrase file, for messages.
        dataset: folder that their pitch column is relative to.
        cfg: flags.
        synthesiser: the loaded model.
        info: its checkpoint.

    Raises:
        InputError: no phrase can be spoken, or --speaker is unknown.
    """
    problems: list[str] = []
    pieces = read_pieces(phrases, source, dataset, cfg, info, text_processor(cfg, info), problems)
    if not pieces:
        raise InputError(problems[0] if len(problems) == 1 else unusable_inputs(problems, len(problems), "texts"))
    for problem in problems:
        log.warning("skipped: %s", problem)

    def parts(names: Collection[str]) -> Iterator[Part]:
        return (piece for piece in pieces if piece.name in names)

    return SynthesisJob(digests(pieces), parts, synthesiser, speaks=True, problems=problems)


def describe_spoken_mels(phrases: Sequence[Phrase], dataset: Path, output: Path, audio: AudioConfig) -> None:
    """Describe the mels of --save-mels in the output directory.

    Raises:
        InputError: mels that cannot be saved.
    """
    pitch_files = [dataset / phrase.pitch for phrase in phrases if phrase.pitch]
    describe_saved_mels([phrase.output for phrase in phrases], output, audio, pitch_files)
