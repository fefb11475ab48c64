"""The systems that speak texts: voices, folders of audio files, and the recordings."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.errors import InputError
from evaluation.systems import GROUND_TRUTH, VOICE, BaseSystem, check_system_name, refuse_repeated
from voice.folder import DEFAULT_VOICE, find_voice
from voice.speech import Voice, load_voice


@dataclasses.dataclass(frozen=True)
class SpeakingSystem(BaseSystem):
    """A source of spoken texts.

    Attributes:
        folder: audio files named like the texts, or empty.
        voice: name or folder of a voice, or empty.
    """

    folder: str = ""
    voice: str = ""

    def describe(self) -> str:
        if self.folder:
            return f"audio files of {self.folder}"
        return f"voice {self.voice}" if self.voice else "the recordings"


def parse_speaking_systems(words: Sequence[str]) -> list[SpeakingSystem]:
    """Parse `NAME=DIR`, `NAME=voice` and `NAME=voice:DIR`.

    Raises:
        InputError: malformed, not the folder of a voice, or a name given twice.
        FileNotFoundError: no such voice or folder.
    """
    systems = [_parse(word) for word in words if word != GROUND_TRUTH]  # which is included if there are recordings
    refuse_repeated([system.name for system in systems])
    return systems


def _parse(word: str) -> SpeakingSystem:
    name, equals, rest = word.partition("=")
    if not equals or not rest:
        raise InputError(f"--system: {word} is neither NAME={VOICE}, NAME={VOICE}:DIR nor NAME=DIR (with --texts)")
    check_system_name(name)
    kind, colon, voice = rest.partition(":")
    if kind == VOICE and bool(colon) == bool(voice):
        try:
            find_voice(voice or DEFAULT_VOICE)
        except (InputError, FileNotFoundError) as error:
            raise type(error)(f"--system {name}: {error}") from error
        return SpeakingSystem(name, voice=voice or DEFAULT_VOICE)
    if not Path(rest).is_dir():
        raise FileNotFoundError(f"--system {name}: {rest}: no such folder of audio files; a voice is {VOICE}:DIR")
    return SpeakingSystem(name, folder=rest)


def speak(text: str, voice: str, speaker: str = "") -> tuple[np.ndarray, int]:
    """Return a text [T] spoken by a voice, in [-1, 1], and its sampling rate in Hz.

    Args:
        text: the text.
        voice: name or folder of the voice.
        speaker: number or name, which counts if the voice has several speakers. Empty: the first one.

    Raises:
        InputError: nothing in the text can be spoken, the speaker is unknown, or the voice's files are damaged.
    """
    loaded = _load(voice)
    chosen = speaker if speaker and loaded.n_speakers > 1 else 0
    return loaded.speak(text, speaker=chosen), loaded.sampling_rate


@functools.cache
def _load(voice: str) -> Voice:
    return load_voice(voice)
