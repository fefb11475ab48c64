"""The files of a voice, and where to find a voice by its name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from common.download import hub
from common.errors import InputError
from common.project import PROJECT

VOICE_TAGS = ("hifigan", "fastpitch", "speech-synthesis")  # of a voice's model card, for the Hugging Face hub
HIFIGAN_FILE, FASTPITCH_FILE, CARD_FILE = VOICE_FILES = ("hifigan.safetensors", "fastpitch.safetensors", "README.md")
PRETRAINED = PROJECT / "pretrained"  # the voices of this project, by their names
DEFAULT_VOICE = "kathleen"


@dataclasses.dataclass(frozen=True)
class VoiceFiles:
    """A voice: a folder with a generator, a FastPitch model that fits it, and a model card.

    Attributes:
        name: name of the folder, or org/name on the hub.
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


def find_voice(name_or_dir: str | Path = DEFAULT_VOICE, options: hub.HubOptions | None = None) -> VoiceFiles:
    """Find a voice by its name in `pretrained/`, by its folder, or by its name on the Hugging Face hub, in this order.

    Args:
        name_or_dir: the name or folder. org/name is downloaded from the hub, which needs huggingface_hub.
        options: for names on the hub.

    Raises:
        FileNotFoundError: no such voice.
        InputError: a folder without the files of a voice, or huggingface_hub is not installed.
        OSError: the hub has no such voice, or does not answer.
    """
    words = str(name_or_dir)
    is_name = words not in ("", ".", "..") and Path(words).name == words
    folder = PRETRAINED / words
    if not (is_name and folder.is_dir()):
        folder = Path(words)
        if not folder.exists() and hub.is_hub_name(words):
            return _checked(VoiceFiles(words, hub.download_files(words, VOICE_FILES, options or hub.HubOptions())))
        if not words or not folder.is_dir():
            raise FileNotFoundError(f"{_not_found(words, is_name)}; give --voice a folder made by python -m voice.pack")
    return _checked(VoiceFiles(folder.resolve().name, folder))


def _checked(files: VoiceFiles) -> VoiceFiles:
    missing = [path.name for path in (files.hifigan, files.fastpitch) if not path.is_file()]
    if missing:
        raise InputError(
            f"{files.folder}: not a voice: {' and '.join(missing)} missing (python -m voice.pack makes voices)"
        )
    return files


def known_voices() -> list[str]:
    """Return the names of the voices in `pretrained/`."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{HIFIGAN_FILE}"))


def _not_found(words: str, is_name: bool) -> str:
    if not is_name:
        return f"{words!r}: no such folder of a voice"
    known = ", ".join(known_voices()) or "none"
    return f"{words}: no such voice or folder (in {PRETRAINED}: {known})"
