"""What FastPitch is to say and how: flags, text settings of a checkpoint, phrases -> pieces of speech."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from common.cli import flag, positive
from common.data.mel_files import read_symbol_pitch
from common.errors import InputError
from common.files.fingerprints import file_digest
from common.synthesis.outputs import Part
from common.synthesis.phrases import Phrase
from common.text.processor import NothingToSay, TextProcessor
from fastpitch.checkpoint import FastPitchInfo
from fastpitch.pitch_transform import PitchTransform
from fastpitch.synthesis.text_flags import TextFlags

SLOWEST, FASTEST = 0.1, 10.0


@dataclasses.dataclass(frozen=True)
class SpeechConfig(TextFlags):
    """Text to speech: which model, which voice, how texts are read and spoken."""

    fastpitch: str = flag("", "FastPitch checkpoint; with it the texts of the phrase file are spoken")
    fastpitch_ema: bool = flag(False, "take that checkpoint's moving average of the weights")
    pace: float = flag(1.0, f"speed, {SLOWEST} to {FASTEST}; 2 is twice as fast")
    speaker: int = flag(0, "voice of a model of several, for phrases that name none")
    pitch_transform_flatten: bool = flag(False, "speak all at the voice's mean pitch")
    pitch_transform_invert: bool = flag(False, "turn the pitch around the voice's mean: high becomes low")
    pitch_transform_amplify: float = flag(1.0, "factor of the pitch's deviation from the voice's mean")
    pitch_transform_shift: float = flag(0.0, "added to the pitch, in Hz")
    pitch_transform_custom: str = flag(
        "", "formula of the pitch in Hz, applied last, such as 'mean + 1.5 * (pitch - mean)'; see the README"
    )
    split_longer_than: int = flag(250, "texts of more characters are spoken in pieces, cut at ends of sentences")
    save_mels: bool = flag(False, "write the mel of each phrase as <output>.npy beside its wav", not_with="output=-")
    seed: int = flag(1234, "of the choice of words for a probability between 0 and 1")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.fastpitch:
            raise InputError("--fastpitch: names no checkpoint")
        if not SLOWEST <= self.pace <= FASTEST:
            raise InputError(f"--pace: {self.pace} does not lie between {SLOWEST} and {FASTEST}")
        positive(split_longer_than=self.split_longer_than)
        for name in ("pitch_transform_amplify", "pitch_transform_shift"):
            if not math.isfinite(getattr(self, name)):
                raise InputError(f"--{name.replace('_', '-')}: {getattr(self, name)} is not a finite number")
        self.pitch_transform()

    def sound_settings(self) -> dict[str, Any]:
        """Return the plain values that, with the pieces, affect the sound of all outputs."""
        names = ("fastpitch_ema", "pace", "save_mels")
        settings = dataclasses.asdict(self)
        chosen = {name: settings[name] for name in settings if name in names or name.startswith("pitch_transform")}
        return {"fastpitch": file_digest(self.fastpitch), **chosen}

    def pitch_transform(self) -> PitchTransform | None:
        """The transform that the flags ask for, None for none.

        Raises:
            InputError: a formula that is not allowed.
        """
        options: dict[str, Any] = {
            "flatten": self.pitch_transform_flatten,
            "invert": self.pitch_transform_invert,
            "amplify": self.pitch_transform_amplify,
            "shift_hz": self.pitch_transform_shift,
            "custom": self.pitch_transform_custom,
        }
        if options == {"flatten": False, "invert": False, "amplify": 1.0, "shift_hz": 0.0, "custom": ""}:
            return None
        try:
            return PitchTransform(**options)
        except InputError as error:
            raise InputError(f"--pitch-transform-custom: {error}") from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece(Part):
    """A text, or a piece of a long one, as the model reads it.

    Attributes:
        ids: symbols.
        speaker: which voice.
        pitch_hz: one value per symbol, 0 where unvoiced, to be spoken instead of the prediction; None predicts.
    """

    ids: list[int]
    speaker: int = 0
    pitch_hz: Tensor | None = None

    @property
    def length(self) -> int:
        return len(self.ids)


def read_pieces(
    phrases: Sequence[Phrase], source: Path, dataset: Path, cfg: SpeechConfig, info: FastPitchInfo, text: TextProcessor
) -> list[Piece]:
    """All phrases as pieces of speech, in order; long texts give several, pitch files belong to whole phrases.

    Args:
        source: the phrase file, for messages.
        dataset: where the pitch files lie.

    Raises:
        FileNotFoundError: a pitch file that is missing.
        InputError: a phrase without text, or of which nothing can be spoken, a speaker that the model lacks, or a
            pitch file that does not fit: with the line of the phrase file.
    """
    _check_speaker("--speaker", str(cfg.speaker), info)
    pieces: list[Piece] = []
    for phrase in phrases:
        where = f"{source}: line {phrase.line}"
        if phrase.text is None:
            raise InputError(f"{where}: {phrase.output} has no text to speak")
        speaker = _check_speaker(where, str(cfg.speaker) if phrase.speaker is None else phrase.speaker, info)
        size = len(phrase.text) if phrase.pitch else cfg.split_longer_than
        try:
            encoded = _encode(phrase.text, size, text, cfg.seed)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        pitch_hz = None
        if phrase.pitch:
            pitch_hz = _pitch(dataset / phrase.pitch, where, len(encoded[0]))
        whole = Piece(name=phrase.output, count=len(encoded), ids=[], speaker=speaker, pitch_hz=pitch_hz)
        pieces += [dataclasses.replace(whole, index=i, ids=ids) for i, ids in enumerate(encoded)]
    return pieces


def digests(pieces: Iterable[Piece]) -> dict[str, str]:
    """Output name -> what is spoken in it: symbols, voices and given pitch, in twelve digits.

    A change of a text, a dictionary, a pitch file or a flag shows here in those outputs that it changes.
    """
    found: dict[str, Any] = {}
    for piece in pieces:
        pitch_hz = None if piece.pitch_hz is None else piece.pitch_hz.tolist()
        content = f"{piece.ids} {piece.speaker} {pitch_hz}\n"
        found.setdefault(piece.name, hashlib.sha256()).update(content.encode())
    return {name: digest.hexdigest()[:12] for name, digest in found.items()}


def _encode(text: str, size: int, processor: TextProcessor, seed: int) -> list[list[int]]:
    """The symbols of each piece. What is random depends on the seed and the text, not on other phrases."""
    rng = random.Random(f"{seed} {text}")
    encoded = []
    nothing: NothingToSay | None = None
    for piece in processor.split(text, size):
        try:
            encoded.append(processor.encode(piece, rng))
        except NothingToSay as error:  # one piece of dashes or foreign letters; the others can be spoken
            nothing = nothing or error
    if not encoded and nothing:
        raise nothing
    return encoded


def _check_speaker(where: str, speaker: str, info: FastPitchInfo) -> int:
    voices = info.config.n_speakers
    if not (speaker.isascii() and speaker.isdecimal() and int(speaker) < voices):
        known = f"are 0 to {voices - 1}" if voices > 1 else "is 0 only"
        raise InputError(
            f"{where}: speaker {speaker!r} is unknown to {info.path}, whose speaker{'s' * (voices > 1)} {known}"
        )
    return int(speaker)


def _pitch(path: Path, where: str, num_symbols: int) -> Tensor:
    if not path.is_file():
        raise FileNotFoundError(f"{where}: {path}: no such pitch file (relative to --dataset-path)")
    pitch_hz = read_symbol_pitch(path)
    if len(pitch_hz) != num_symbols:
        raise InputError(f"{where}: {path} has {len(pitch_hz)} values of pitch, but the text has {num_symbols} symbols")
    return pitch_hz
