"""Text settings, as command-line flags and in checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.cli import flag
from common.errors import InputError
from common.text.any_language.alphabet import Alphabet, read_alphabet
from common.text.languages import SYMBOL_SETS, find_cleaners, find_language
from common.text.processor import TextProcessor


@dataclasses.dataclass(frozen=True)
class TextConfig:
    """The text settings of a model. Their names are the keys of published checkpoints, but `alphabet`.

    Attributes:
        prepend_space_to_text, append_space_to_text: a model of another program was trained with a space around texts.
        alphabet: symbols of the user's own, see `Alphabet`, read from the file that `symbol_set` names, or None.

    Raises:
        InputError: a probability outside [0, 1], or an unknown symbol set or cleaner.
    """

    symbol_set: str = flag("english_basic", f"symbol set: {', '.join(SYMBOL_SETS)}, or a JSON file with an alphabet")
    text_cleaners: tuple[str, ...] = flag(("english_cleaners_v2",), "text cleaners, applied in this order")
    p_arpabet: float = flag(1.0, "probability that a word is replaced by its pronunciation")
    alphabet: Mapping[str, Any] | None = None
    prepend_space_to_text: bool = False
    append_space_to_text: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.p_arpabet, int | float) or not 0 <= self.p_arpabet <= 1:
            raise InputError(f"p_arpabet: {self.p_arpabet!r} is not a number between 0 and 1")
        for name in (self.symbol_set, *self.text_cleaners):
            if not isinstance(name, str):
                raise InputError(f"{name!r} is not the name of a symbol set or text cleaner")
        if self.alphabet is None and self.symbol_set.endswith(".json"):
            self._read_alphabet(Path(self.symbol_set))
        elif self.alphabet is None:
            find_language(self.symbol_set)
        else:
            Alphabet(self.alphabet)
        find_cleaners(self.text_cleaners)

    def _read_alphabet(self, path: Path) -> None:
        """Take the user's symbols from a file, which the defaults, English's cleaners and dictionary, do not fit."""
        alphabet = read_alphabet(path)
        changes: dict[str, Any] = {"alphabet": alphabet.to_dict(), "symbol_set": path.stem}
        if self.text_cleaners == ("english_cleaners_v2",):
            changes["text_cleaners"] = ("basic_cleaners",)
        if self.p_arpabet == 1:
            changes["p_arpabet"] = 0.0
        for name, value in changes.items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings for a checkpoint. Those of other programs' models only if they are set."""
        values = dataclasses.asdict(self)
        rare = ("prepend_space_to_text", "append_space_to_text")
        return {name: value for name, value in values.items() if value or name not in rare}

    @classmethod
    def from_setup(cls, setup: Mapping[str, Any], **changes: Any) -> TextConfig:
        """Build from a checkpoint's `train_setup` and changes. The published recipe provides the defaults."""
        return cls(**{**stored_settings(setup), **changes})

    def symbols(self) -> list[str]:
        """Return the symbols. A symbol's id is its position."""
        return list(Alphabet(self.alphabet).symbols if self.alphabet else SYMBOL_SETS[self.symbol_set])

    def processor(
        self,
        cmudict_path: str = "",
        heteronyms_path: str = "",
        seed: int = 0,
        pronunciations: str | Mapping[str, str] = "",
    ) -> TextProcessor:
        """Build the processor. Empty paths select the default files."""
        return TextProcessor(
            self.symbol_set,
            self.text_cleaners,
            self.p_arpabet,
            cmudict_path or None,
            heteronyms_path or None,
            seed,
            pronunciations or None,
            Alphabet(self.alphabet) if self.alphabet else None,
            (bool(self.prepend_space_to_text), bool(self.append_space_to_text)),
        )


def record_reading(text: TextProcessor) -> dict[str, Any]:
    """Return the `train_setup` of a checkpoint about words: the dictionary's edition, and the own words."""
    own = {"pronunciations": text.pronunciations} if text.pronunciations else {}
    return {"dictionary": text.edition, **own} if text.edition else own


def stored_pronunciations(setup: Mapping[str, Any]) -> dict[str, str]:
    """Return the own words that a checkpoint was trained with."""
    found = setup.get("pronunciations")
    return {str(word): str(phonemes) for word, phonemes in found.items()} if isinstance(found, Mapping) else {}


def stored_settings(setup: Mapping[str, Any]) -> dict[str, Any]:
    """Return the text settings that a checkpoint's `train_setup` contains."""
    names = [field.name for field in dataclasses.fields(TextConfig)]
    stored = {name: setup[name] for name in names if setup.get(name) is not None}
    if "text_cleaners" in stored:
        cleaners = stored["text_cleaners"]
        stored["text_cleaners"] = tuple(cleaners) if isinstance(cleaners, list | tuple) else (cleaners,)
    return stored
