"""Where English sentences end."""

from __future__ import annotations

import re

from common.text.any_language.pieces import split_into_pieces
from common.text.english.figures.dates import SHORT_MONTHS
from common.text.english.words.abbreviations import NOT_SENTENCE_ENDS, NOT_SENTENCE_ENDS_BEFORE_NUMBERS

_LAST_WORD = re.compile(r"[\w.'’-]*$")
_OPENING = re.compile(r"[\"'“‘«(\[]*")
_DOTTED = re.compile(r"(?:[a-z]\.)+[a-z]")


def split_text(text: str, max_characters: int) -> list[str]:
    """Split an English text into pieces (see `split_into_pieces`)."""
    return split_into_pieces(text, max_characters, is_sentence_end)


def is_sentence_end(text: str, cut: int) -> bool:
    """Return whether a sentence ends before `cut`, which follows punctuation and spaces."""
    opening = _OPENING.match(text, cut)
    following = text[opening.end() if opening else cut :][:1]
    if following.islower():  # "Why?" he asked; approx. half
        return False
    before = text[max(0, cut - 40) : cut].rstrip().rstrip("\"'”’»)]")
    if not before.endswith(".") or before.endswith(".."):
        return True
    found = _LAST_WORD.search(before[:-1])
    word = found[0].lower() if found else ""
    if word in NOT_SENTENCE_ENDS_BEFORE_NUMBERS or word in SHORT_MONTHS:
        return not following.isdecimal()
    is_initial = len(word) == 1 and word.isalpha()  # J. F. Kennedy
    is_dotted = _DOTTED.fullmatch(word) is not None  # U.S., a.m.
    return not (word in NOT_SENTENCE_ENDS or is_initial or is_dotted)
