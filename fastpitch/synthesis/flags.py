"""Flags of text to speech."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from common.cli import flag, not_negative
from common.download.hub import find_fastpitch
from common.errors import InputError
from common.files.fingerprints import file_digest
from fastpitch.synthesis.text_flags import TextFlags

if TYPE_CHECKING:
    from fastpitch.pitch_transform import PitchTransform

SLOWEST_PACE, FASTEST_PACE = 0.1, 10.0
UNKNOWN_LONGEST_TEXT = 250  # characters; the longest of LJSpeech has 187


@dataclasses.dataclass(frozen=True)
class SpeechConfig(TextFlags):
    """Model, voice and manner of text to speech."""

    fastpitch: str = flag(
        "",
        "FastPitch checkpoint, a model's folder or a hub name (org/name) that speaks the texts, with --hifigan; see "
        "also --voice",
        metavar="NAME|PATH",
        convert=find_fastpitch,
    )
    fastpitch_ema: bool = flag(False, "use the moving average of its weights")
    pace: float = flag(1.0, f"speed, {SLOWEST_PACE} to {FASTEST_PACE}; 2 is twice as fast")
    speaker: str = flag("0", "number or name of the voice, in a model with several, for phrases that name none")
    pitch_transform_flatten: bool = flag(False, "speak everything at the voice's mean pitch")
    pitch_transform_invert: bool = flag(False, "mirror the pitch at the voice's mean: high becomes low")
    pitch_transform_amplify: float = flag(1.0, "factor of the pitch's deviation from the voice's mean")
    pitch_transform_shift: float = flag(0.0, "offset of the pitch in Hz")
    pitch_transform_custom: str = flag(
        "", "formula of the pitch in Hz, applied last: 'mean + 1.5 * (pitch - mean)'; see docs/text-to-speech.md"
    )
    split_longer_than: int = flag(
        0,
        "characters above which a text is spoken in pieces, cut at ends of sentences or clauses (0: the longest text "
        f"that the model was trained on, or {UNKNOWN_LONGEST_TEXT} if the checkpoint does not record it)",
    )
    show_text: bool = flag(False, "print how each text is read, cleaned and in symbols, and make no speech")
    save_mels: bool = flag(False, "write the mel of each phrase as <output>.npy beside its wav", not_with="output=-")
    seed: int = flag(1234, "seed of the choice of words if --p-arpabet is between 0 and 1")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.fastpitch:
            raise InputError("--fastpitch: names no checkpoint")
        if not SLOWEST_PACE <= self.pace <= FASTEST_PACE:
            raise InputError(f"--pace: {self.pace} does not lie between {SLOWEST_PACE} and {FASTEST_PACE}")
        not_negative(split_longer_than=self.split_longer_than)
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
        """Return the transform that the flags ask for, or None.

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
        from fastpitch.pitch_transform import PitchTransform  # imports PyTorch

        try:
            return PitchTransform(**options)
        except InputError as error:
            raise InputError(f"--pitch-transform-custom: {error}") from error
