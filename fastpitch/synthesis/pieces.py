"""Phrases -> pieces that FastPitch can speak."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from common.data.filelists import listed_path
from common.data.mel_files import read_symbol_pitch
from common.errors import InputError
from common.synthesis.outputs import Part
from common.synthesis.phrases import Phrase
from common.text.processor import NothingToSay, TextProcessor
from fastpitch.config import FastPitchInfo
from fastpitch.speakers import describe_speakers, find_speaker, stored_names
from fastpitch.synthesis.flags import UNKNOWN_LONGEST_TEXT, SpeechConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece(Part):
    """A text, or a piece of a long text, as symbols.

    Attributes:
        ids: symbols.
        speaker: voice.
        pitch_hz: one value per symbol, 0 where unvoiced, or None to predict the pitch.
    """

    ids: list[int]
    speaker: int = 0
    pitch_hz: Tensor | None = None

    @property
    def length(self) -> int:
        return len(self.ids)


def read_pieces(
    phrases: Sequence[Phrase],
    source: str | Path,
    dataset: Path,
    cfg: SpeechConfig,
    info: FastPitchInfo,
    text: TextProcessor,
    problems: list[str],
) -> list[Piece]:
    """Convert phrases to pieces, in order. A long text becomes several pieces, unless the phrase has a pitch file.

    Phrases that cannot be spoken are skipped: without speakable text, with a speaker that the model lacks, or with a
    pitch file that is missing or does not fit.

    Args:
        phrases: phrases to speak.
        source: the phrase file, or what else names the phrases, for messages.
        dataset: folder of the pitch files.
        cfg: flags.
        info: checkpoint of the model.
        text: converts texts to symbols.
        problems: gets a message with the line of the phrase file for each skipped phrase.

    Raises:
        InputError: --speaker is not a speaker of the model.
    """
    try:
        _find_speaker(cfg.speaker, info)
    except InputError as error:
        raise InputError(f"--speaker: {error}") from error
    pieces: list[Piece] = []
    longest = cfg.split_longer_than or _longest_text(info)
    for phrase in phrases:
        try:
            pieces += _read_phrase(phrase, dataset, cfg, info, text, longest)
        except (InputError, OSError) as error:
            where = f"{source}: line {phrase.line}" if phrase.line else str(source)
            problems.append(f"{where}: {error}")
    return pieces


def _read_phrase(
    phrase: Phrase, dataset: Path, cfg: SpeechConfig, info: FastPitchInfo, text: TextProcessor, longest: int
) -> list[Piece]:
    if phrase.text is None:
        raise InputError(f"{phrase.output} has no text to speak")
    speaker = _find_speaker(cfg.speaker if phrase.speaker is None else phrase.speaker, info)
    encoded = _encode(phrase.text, len(phrase.text) if phrase.pitch else longest, text, cfg.seed)
    pitch_hz = _pitch(listed_path(phrase.pitch, dataset, "pitch"), len(encoded[0])) if phrase.pitch else None
    whole = Piece(name=phrase.output, count=len(encoded), ids=[], speaker=speaker, pitch_hz=pitch_hz)
    return [dataclasses.replace(whole, index=i, ids=ids) for i, ids in enumerate(encoded)]


def _longest_text(info: FastPitchInfo) -> int:
    """Return the characters that the model can speak at once: beyond what it was trained on, its speech fades."""
    longest = info.train_setup.get("longest_text")
    return longest if isinstance(longest, int) and longest > 0 else UNKNOWN_LONGEST_TEXT


def digests(pieces: Iterable[Piece]) -> dict[str, str]:
    """Map output names to twelve-digit digests of their symbols, voices and pitch.

    A changed text, dictionary, pitch file or flag changes the digests of the outputs that it affects.
    """
    found: dict[str, Any] = {}
    for piece in pieces:
        pitch_hz = None if piece.pitch_hz is None else piece.pitch_hz.tolist()
        content = f"{piece.ids} {piece.speaker} {pitch_hz}\n"
        found.setdefault(piece.name, hashlib.sha256()).update(content.encode())
    return {name: digest.hexdigest()[:12] for name, digest in found.items()}


def _encode(text: str, size: int, processor: TextProcessor, seed: int) -> list[list[int]]:
    """Return the symbols of each piece. Random choices depend on the seed and the text, not on other phrases."""
    rng = random.Random(f"{seed} {text}")
    encoded = []
    nothing: NothingToSay | None = None
    for piece in processor.split(text, size):
        try:
            encoded.append(processor.encode(piece, rng))
        except NothingToSay as error:  # a piece of dashes or foreign letters; others may be speakable
            nothing = nothing or error
    if not any(map(processor.has_sound, encoded)):
        raise nothing or NothingToSay(f"nothing can be spoken of the text {text!r}: it has no letters or digits")
    return encoded


def _find_speaker(speaker: str, info: FastPitchInfo) -> int:
    voices, names = info.config.n_speakers, stored_names(info.train_setup)
    found = find_speaker(str(speaker), voices, names)
    if found is None:
        known = f"speaker{'s are' if voices > 1 else ' is'} {describe_speakers(voices, names)}"
        raise InputError(f"speaker {str(speaker)!r} is unknown to {info.path}, whose {known}")
    return found


def _pitch(path: Path, num_symbols: int) -> Tensor:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such pitch file (relative to --dataset-path)")
    pitch_hz = read_symbol_pitch(path)
    if len(pitch_hz) != num_symbols:
        raise InputError(f"{path} has {len(pitch_hz)} values of pitch, but the text has {num_symbols} symbols")
    return pitch_hz
