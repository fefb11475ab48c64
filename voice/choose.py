"""The command line of `inference.py`, and its choice of models: a voice, unless the user names models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from common.audio_input.names import is_audio
from common.cli import ArgumentParser, add_flags, from_flags
from common.errors import InputError
from common.project import command
from common.synthesis.phrases import read_phrases
from fastpitch.synthesis.flags import SpeechConfig
from hifigan.synthesis.flags import InferenceConfig, StreamConfig, check_streaming, refuse_strength_as_data_set
from voice.folder import DEFAULT_VOICE, PRETRAINED, VoiceFiles, find_voice

HOW_TO_CHOOSE = "--voice NAME|DIR takes another, --hifigan and --fastpitch take your own models"
_OF_CHECKPOINTS = ("hifigan_config", "ema", "fastpitch_ema")  # choices among the contents of a checkpoint
_OF_MELS = ("mel_framing", "mel_log")


def make_parser() -> ArgumentParser:
    """Return the parser of `inference.py`."""
    parser = ArgumentParser(
        prog="inference.py",
        needs="(-i PATH | --text TEXT)",
        examples=(
            '--text "Hello world." -o hello.wav',
            "-i texts.txt -o spoken",
            "-i recordings -o copies",
            "-i texts.tsv --fastpitch F.pt --hifigan G.pt -o spoken",
        ),
        complete=_complete,
        description="Texts, mel spectrograms or audio files -> speech. An interrupted run resumes where it stopped.",
        epilog="Several processes, started with torchrun, share the work. Flags may be written with - or _.",
    )
    add_flags(parser, InferenceConfig, "inference")
    add_flags(parser, StreamConfig, "streaming", only_with="stream")
    add_flags(parser, SpeechConfig, "text to speech", only_with="fastpitch", or_with="the texts of a voice")
    return parser


def parse(argv: Sequence[str] | None = None) -> tuple[InferenceConfig, StreamConfig | None, SpeechConfig | None]:
    """Parse the command line. Streaming and text to speech are None unless asked for."""
    given = vars(make_parser().parse_args(argv))
    cfg = from_flags(InferenceConfig, given)
    stream = from_flags(StreamConfig, given) if "stream" in given else None
    speech = from_flags(SpeechConfig, given) if "fastpitch" in given else None
    check_streaming(cfg, stream)
    return cfg, stream, speech


def _complete(given: MutableMapping[str, Any]) -> None:
    refuse_strength_as_data_set(given)
    if given.get("show_text"):  # nothing is written
        given.setdefault("output", "output")
    choose_models(given)


def choose_models(given: MutableMapping[str, Any]) -> None:
    """Complete the flags of `inference.py`: with a voice, add its files as `hifigan` and, to speak, as `fastpitch`.

    Args:
        given: the flags that the user gave. Without models, the default voice is added.

    Raises:
        FileNotFoundError: no such voice or phrase file.
        InputError: flags that contradict each other, or have no effect.
    """
    own = [name for name in ("hifigan", "fastpitch") if name in given]
    if "voice" in given and own:
        raise InputError(f"--voice: is in place of --{own[0]}; remove one of them")
    if "text" in given:
        if "input" in given:
            raise InputError("--text: is in place of -i; remove one of them")
        if not given["text"].strip():
            raise InputError("--text: is empty; give a text to speak, such as --text 'Hello.'")
    elif not given.get("input"):
        raise InputError(f"-i: is required, or --text (see {command('python inference.py')} --help)")
    if own:
        if own == ["fastpitch"]:
            raise InputError("--fastpitch: needs --hifigan for the audio; --voice names both models")
        if "text" in given and "fastpitch" not in given:
            raise InputError("--text: with --hifigan, needs --fastpitch to speak; --voice names both models")
        return
    files = _voice(given)
    for name in _OF_CHECKPOINTS:
        if given.get(name):
            raise InputError(f"--{name.replace('_', '-')}: has no effect on a voice, only on a checkpoint (--hifigan)")
    given["hifigan"] = str(files.hifigan)
    if speaks(given):
        _refuse(given, _OF_MELS, "has no effect on texts, only on mel files")
        given["fastpitch"] = str(files.fastpitch)
    else:
        names = [field.name for field in dataclasses.fields(SpeechConfig)]
        _refuse(given, names, f"has no effect without texts, and {given['input']} has none")


def describe(voice: str, hifigan: str) -> str:
    """Return the line that says which voice is used, and how to choose another."""
    folder = Path(hifigan).parent
    place = folder.relative_to(PRETRAINED.parent) if folder.is_relative_to(PRETRAINED) else folder
    return f"voice: {voice} ({place}); {HOW_TO_CHOOSE}" if str(place) != voice else f"voice: {voice}; {HOW_TO_CHOOSE}"


def speaks(given: Mapping[str, Any]) -> bool:
    """Return whether the input is a text or a phrase file with texts, rather than audio or mels."""
    if given.get("text"):
        return True
    source = Path(given["input"])
    return not is_audio(source) and any(phrase.text is not None for phrase in read_phrases(source))


def _voice(given: MutableMapping[str, Any]) -> VoiceFiles:
    if "voice" in given:
        return find_voice(given["voice"])
    try:
        files = find_voice(DEFAULT_VOICE)
    except FileNotFoundError as error:
        raise InputError(
            f"no model is named, and the default voice, {PRETRAINED / DEFAULT_VOICE}, is missing; "
            "give --voice DIR, or --hifigan and --fastpitch"
        ) from error
    given["voice"] = DEFAULT_VOICE
    return files


def _refuse(given: Mapping[str, Any], names: Any, reason: str) -> None:
    for name in names:
        if name in given:
            raise InputError(f"--{name.replace('_', '-')}: {reason}")
