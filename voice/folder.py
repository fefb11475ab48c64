"""The files of a voice, and where to find a voice by its name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from common.errors import InputError

HIFIGAN_FILE, FASTPITCH_FILE, CARD_FILE = "hifigan.safetensors", "fastpitch.safetensors", "README.md"
PRETRAINED = Path(__file__).resolve().parents[1] / "pretrained"  # the voices of this project, by their names
DEFAULT_VOICE = "kathleen"


@dataclasses.dataclass(frozen=True)
class VoiceFiles:
    """A voice: a folder with a generator, a FastPitch model that fits it, and a model card.

    Attributes:
        name: name of the folder.
        folder: the folder.
    """

    name: str
    folder: Path

    @property
    def hifigan(self) -> Path:
        """The generator, which is also valid as --hifigan."""
        return self.folder / HIFIGAN_FILE

    @property
    def fastpitch(self) -> Path:
        """The acoustic model, which is also valid as --fastpitch."""
        return self.folder / FASTPITCH_FILE

    @property
    def card(self) -> Path:
        """The model card, a Markdown file."""
        return self.folder / CARD_FILE


def find_voice(name_or_dir: str | Path = DEFAULT_VOICE) -> VoiceFiles:
    """Find a voice by its name in `pretrained/`, or by its folder. A name wins over a folder of the same name.

    Raises:
        FileNotFoundError: no such voice.
        InputError: a folder without the files of a voice.
    """
    words = str(name_or_dir)
    is_name = words not in ("", ".", "..") and Path(words).name == words
    folder = PRETRAINED / words
    if not (is_name and folder.is_dir()):
        folder = Path(words)
        if not words or not folder.is_dir():
            raise FileNotFoundError(f"{_not_found(words, is_name)}; give --voice a folder made by python -m voice.pack")
    missing = [name for name in (HIFIGAN_FILE, FASTPITCH_FILE) if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder}: not a voice: {' and '.join(missing)} missing (python -m voice.pack makes voices)")
    return VoiceFiles(folder.resolve().name, folder)


def known_voices() -> list[str]:
    """Return the names of the voices in `pretrained/`."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{HIFIGAN_FILE}"))


def _not_found(words: str, is_name: bool) -> str:
    if not is_name:
        return f"{words!r}: no such folder of a voice"
    known = ", ".join(known_voices()) or "none"
    return f"{words}: no such voice or folder (in {PRETRAINED}: {known})"
