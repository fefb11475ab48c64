"""Alphabets that users bring for languages without rules of their own: symbols, and replacements before cleaning."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files.json_files import read_json
from common.text.any_language.notation import PAD

MOST_SYMBOLS = 1000
MOST_REPLACED, LONGEST_REPLACED = 10_000, 1000  # texts, and characters of each: a text of 'a' could become gigabytes


class Alphabet:
    """Symbols of a language, each one character, and texts that are replaced before cleaning.

    Args:
        content: {"symbols": "abc ...", "replace": {"z. B.": "zum Beispiel", ...}}, as in the user's file and in
            checkpoints. `replace` may be missing.

    Raises:
        InputError: another form, or a symbol that is there twice.

    Attributes:
        symbols: the padding symbol, the space, then the characters in the order of the file.
        replace: the replacements, in Unicode's composed form.
    """

    def __init__(self, content: object) -> None:
        if not isinstance(content, Mapping) or not content.keys() <= {"symbols", "replace"}:
            raise InputError('an alphabet is {"symbols": "abc...", "replace": {"from": "to"}}')
        symbols, replace = content.get("symbols"), content.get("replace") or {}
        if not isinstance(symbols, str):
            raise InputError('"symbols": is not a text')
        if not isinstance(replace, Mapping) or not all(
            before and isinstance(before, str) and isinstance(after, str) for before, after in replace.items()
        ):
            raise InputError('"replace": does not map texts to texts')
        # Halves of a surrogate pair, such as "\\ud800", which no text and no file can hold.
        if any(unicodedata.category(c) == "Cs" for text in (symbols, *replace, *replace.values()) for c in text):
            raise InputError("a text in it has half of a surrogate pair, such as \\ud800")
        if len(replace) > MOST_REPLACED or any(
            len(text) > LONGEST_REPLACED for pair in replace.items() for text in pair
        ):
            raise InputError(
                f'"replace": has more than {MOST_REPLACED:,} texts, or one longer than {LONGEST_REPLACED:,} characters'
            )
        characters = [c for c in compose(symbols) if c not in (" ", PAD) and unicodedata.category(c) != "Cc"]
        if not 0 < len(characters) <= MOST_SYMBOLS:
            raise InputError(f'"symbols": has {len(characters)} characters')
        if twice := [c for c in characters if characters.count(c) > 1]:
            raise InputError(f'"symbols": {twice[0]!r} is there twice')
        self.symbols = (PAD, " ", *characters)
        self.replace = {compose(before): compose(after) for before, after in replace.items()}
        longest_first = sorted(self.replace, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if self.replace else None

    def prepare(self, text: str) -> str:
        """Return a text with composed characters (ü is one, not two) and the replacements made."""
        text = compose(text)
        return self._pattern.sub(lambda match: self.replace[match[0]], text) if self._pattern else text

    def to_dict(self) -> dict[str, Any]:
        """Return the content for a checkpoint."""
        return {"symbols": "".join(self.symbols[2:]), "replace": self.replace}


def compose(text: str) -> str:
    """Return Unicode's composed form."""
    return unicodedata.normalize("NFC", text)


def read_alphabet(path: Path) -> Alphabet:
    """Read a user's file.

    Raises:
        FileNotFoundError: no such file.
        InputError: not such a file.
    """
    try:
        return Alphabet(read_json(path))
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from error
