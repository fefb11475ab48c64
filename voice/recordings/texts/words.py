"""The words of a text, as they are compared with recognised ones."""

from __future__ import annotations

import functools
import itertools
import re

from common.text.english.cleaners import english_cleaners_v2

_WORD = re.compile(r"\d+(?:[.,:]\d+)+|[^\W_]+(?:['\u2019][^\W_]+)*")
_SENTENCE_END, _CLAUSE_END = re.compile(r"[.!?\u2026]"), re.compile(r"[,;:\u2013\u2014]|--")


class GivenText:
    """The words of a text, with their places in it.

    Attributes:
        text: as it was given.
        keys: its words in lower case, which are compared.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        found = list(_WORD.finditer(text))
        self.keys = [_key(match[0]) for match in found]
        # Where each word begins with the punctuation before it, and the end of the text.
        self._starts = [0, *(_cut(text, a.end(), b.start()) for a, b in itertools.pairwise(found)), len(text)]
        self._between = ["", *(text[a.end() : b.start()] for a, b in itertools.pairwise(found)), ""]

    def stretch(self, start: int, end: int) -> str:
        """Return the text of words [start, end), with their punctuation."""
        return self.text[self._starts[start] : self._starts[end]].strip() if start < end else ""

    def letters(self, start: int, end: int) -> str:
        return "".join(self.keys[start:end])

    def break_before(self, word: int) -> int:
        """Return 2 if a sentence ends before a word, 1 for a part of a sentence, else 0."""
        if word in (0, len(self.keys)) or _SENTENCE_END.search(self._between[word]):
            return 2
        return 1 if _CLAUSE_END.search(self._between[word]) else 0


def split_keys(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation, with numbers written out."""
    return [_key(word) for word in _WORD.findall(text)]


@functools.lru_cache(maxsize=10_000)
def _key(word: str) -> str:
    """Return the letters of a word. Numbers are written out, as recognisers write digits where texts may not."""
    if any(map(str.isdecimal, word)):
        word = english_cleaners_v2(word)
    return "".join(filter(str.isalnum, word)).casefold()


def _cut(text: str, start: int, end: int) -> int:
    """Return where the text between two words is cut: at its last space, or behind all of it."""
    space = max(text.rfind(" ", start, end), text.rfind("\n", start, end))
    return end if space < 0 else space
