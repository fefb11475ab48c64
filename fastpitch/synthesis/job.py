"""The texts of a phrase file as a synthesis job."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import torch

from common.audio import AudioConfig
from common.data.mel_files import differences
from common.errors import InputError
from common.mel_contract import in_words
from common.synthesis.outputs import Part, describe_saved_mels
from common.synthesis.phrases import read_phrases
from common.synthesis.resume import SynthesisJob
from fastpitch.checkpoint import FastPitchInfo, load_fastpitch
from fastpitch.synthesis.pieces import SpeechConfig, digests, read_pieces
from fastpitch.synthesis.synthesiser import Synthesiser
from fastpitch.synthesis.text_flags import text_processor


def load_synthesiser(
    cfg: SpeechConfig, device: torch.device, torchscript: bool, amp: bool
) -> tuple[Synthesiser, FastPitchInfo]:
    """Load the FastPitch model that the flags ask for.

    Raises:
        FileNotFoundError, InputError: see `load_fastpitch`.
    """
    model, info = load_fastpitch(cfg.fastpitch, device, cfg.fastpitch_ema)
    return Synthesiser(model, cfg.pace, cfg.pitch_transform(), torchscript, amp), info


def check_models_fit(info: FastPitchInfo, vocoder: Path, vocoder_audio: AudioConfig) -> None:
    """Raise `InputError` unless FastPitch makes the mels that the vocoder of file `vocoder` takes."""
    if differing := differences(info.audio, vocoder_audio):
        raise InputError(
            f"{info.path} and {vocoder} do not fit together: {in_words(differing)}; take two models with the same mel "
            "settings (python -m common.mel_contract A B compares them)"
        )


def speech_job(
    source: Path, dataset: Path, output: Path, cfg: SpeechConfig, synthesiser: Synthesiser, info: FastPitchInfo
) -> SynthesisJob:
    """Return the job of speaking the texts of a phrase file. All of them are read and checked here.

    Args:
        source: phrase file.
        dataset: folder that its pitch column is relative to.
        output: output directory, described here if the mels are saved as well.
        cfg: flags.
        synthesiser: the loaded model.
        info: its checkpoint.

    Raises:
        FileNotFoundError: no such phrase file or pitch file.
        InputError: phrases that cannot be spoken, or mels that cannot be saved.
    """
    text = text_processor(cfg, info)
    phrases = read_phrases(source)
    pieces = read_pieces(phrases, source, dataset, cfg, info, text)
    if cfg.save_mels:
        pitch_files = [dataset / phrase.pitch for phrase in phrases if phrase.pitch]
        describe_saved_mels([phrase.output for phrase in phrases], output, info.audio, pitch_files)

    def parts(names: Collection[str]) -> Iterator[Part]:
        return (piece for piece in pieces if piece.name in names)

    return SynthesisJob(digests(pieces), parts, synthesiser, speaks=True)
