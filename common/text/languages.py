"""The languages that texts may be in. To add one, write its folder beside `english`, and add it to `LANGUAGES`.

Files of the folder other than Python modules are also listed as package data in `pyproject.toml`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from common.errors import InputError
from common.text.any_language.alphabet import Alphabet
from common.text.any_language.cleaners import basic_cleaners, transliteration_cleaners
from common.text.any_language.pieces import split_into_pieces
from common.text.english import cleaners, pronunciations, sentences, symbols

Cleaner = Callable[[str], str]


class PronouncingDictionary(Protocol):
    """Looks up how words are pronounced."""

    @property
    def edition(self) -> str:
        """The dictionary's name and a digest of its contents. Empty if there is only one."""

    def lookup(self, word: str) -> str | None:
        """Return the phonemes of a word, separated by spaces, or None if the word should stay letters."""

    def why_letters(self, word: str) -> str:
        """Return why `lookup` found nothing, in words."""

    def extend(self, words: Mapping[str, str]) -> None:
        """Add words with their phonemes, which win over the dictionary's own."""


@dataclasses.dataclass(frozen=True)
class Language:
    """The rules that turn texts of one language into symbols.

    Attributes:
        code: ISO 639-1, such as "en".
        symbol_sets: symbols by name of the set. A symbol's id is its position.
        cleaners: functions that normalise a text, by name.
        word: matches a word that a dictionary may contain.
        parse_phonemes: content of braces -> its phonemes, or None if it is text. Raises InputError if misspelt.
        open_dictionary: paths of a dictionary and of a list of heteronyms, None for the default -> the dictionary.
        split_text: text and maximum number of characters -> pieces to speak one after the other.
    """

    code: str
    symbol_sets: Mapping[str, tuple[str, ...]]
    cleaners: Mapping[str, Cleaner]
    word: re.Pattern[str]
    parse_phonemes: Callable[[str], list[str] | None]
    open_dictionary: Callable[[str | Path | None, str | Path | None], PronouncingDictionary]
    split_text: Callable[[str, int], list[str]]


LANGUAGES = (
    Language(
        code="en",
        symbol_sets=symbols.SYMBOL_SETS,
        cleaners={
            "english_cleaners": cleaners.english_cleaners,
            "english_cleaners_v2": cleaners.english_cleaners_v2,
        },
        word=pronunciations.WORD,
        parse_phonemes=pronunciations.parse_phonemes,
        open_dictionary=pronunciations.CmuDictionary,
        split_text=sentences.split_text,
    ),
)

SYMBOL_SETS = {name: found for language in LANGUAGES for name, found in language.symbol_sets.items()}
CLEANERS: dict[str, Cleaner] = {
    "basic_cleaners": basic_cleaners,
    "transliteration_cleaners": transliteration_cleaners,
    **{name: cleaner for language in LANGUAGES for name, cleaner in language.cleaners.items()},
}


def own_language(name: str, alphabet: Alphabet) -> Language:
    """Return the rules for a user's alphabet: letters only, without a dictionary."""

    def no_dictionary(dictionary: str | Path | None, heteronyms: str | Path | None) -> PronouncingDictionary:
        raise InputError(f"p_arpabet: there is no dictionary for the alphabet {name}; set it to 0")

    return Language(
        code="",
        symbol_sets={name: alphabet.symbols},
        cleaners={},
        word=re.compile(r"(?!)"),
        parse_phonemes=lambda inside: None,
        open_dictionary=no_dictionary,
        split_text=lambda text, size: split_into_pieces(text, size, lambda shadow, position: True),
    )


def find_language(symbol_set: str) -> Language:
    """Return the language that a symbol set belongs to.

    Raises:
        InputError: unknown symbol set.
    """
    for language in LANGUAGES:
        if symbol_set in language.symbol_sets:
            return language
    raise InputError(f"unknown symbol set {symbol_set!r}; choose among {', '.join(SYMBOL_SETS)}")


def find_language_code(cleaners: str | Sequence[str]) -> str:
    """Return the code of the language that these cleaners, by name, are made for, or "" for those of any language."""
    names = {cleaners} if isinstance(cleaners, str) else set(cleaners)
    return next((language.code for language in LANGUAGES if names & set(language.cleaners)), "")


def find_cleaners(names: str | Sequence[str]) -> list[Cleaner]:
    """Return the cleaners with these names, in order.

    Raises:
        InputError: unknown cleaner.
    """
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in CLEANERS:
            raise InputError(f"unknown text cleaner {name!r}; choose among {', '.join(CLEANERS)}")
    return [CLEANERS[name] for name in names]
