"""Splitting a long text into pieces that are spoken one after the other."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from common.text.any_language.cleaners import collapse_space
from common.text.any_language.notation import PRONUNCIATION

Span = tuple[int, int]  # start and end in the text, including spaces after the words

_CLOSING = r"[\"'”’»)\]]*"
# (?<!...) keeps a search from starting again inside a long run of marks, which takes minutes.
_END = re.compile(rf"(?<![.!?…])[.!?…]+{_CLOSING}\s+")
_CLAUSE = re.compile(rf"(?<![,;:!?…])[,;:!?…]+{_CLOSING}\s+|\s*(?:--+|[—–])\s*|\s-\s+|[)\]]\s+")
_SPACE = re.compile(r"\s+")


def split_into_pieces(text: str, max_characters: int, is_sentence_end: Callable[[str, int], bool]) -> list[str]:
    """Split a text into pieces of at most `max_characters`, each as long as possible.

    Cuts are made at ends of sentences. A longer sentence is cut after punctuation, or else between words. Only a word
    that is longer still is cut between letters. A {pronunciation} in braces is never cut, however long.

    Args:
        text: on one line or several.
        max_characters: 1 or more, not counting spaces at the ends of a piece.
        is_sentence_end: whether a sentence ends at a position of a text, which follows a full stop, question mark,
            exclamation mark, or ellipsis and the spaces after it.

    Returns:
        The pieces in order, without spaces around them. Together they are the text. Empty for a blank text.
    """
    text = collapse_space(text).strip()
    # Boundaries are searched in a copy where capital X replaces each character of a pronunciation: it then looks like
    # one word without spaces or punctuation.
    shadow = PRONUNCIATION.sub(lambda match: "X" * len(match[0]), text)
    finer: list[Callable[[Span], list[Span]]] = [
        lambda span: _cut(span, _find_ends(_CLAUSE, shadow, span)),
        lambda span: _cut(span, _find_ends(_SPACE, shadow, span)),
        lambda span: _cut(span, _find_letter_cuts(text, span, max_characters)),
    ]
    whole = (0, len(text))
    sentences = _cut(whole, [cut for cut in _find_ends(_END, shadow, whole) if is_sentence_end(shadow, cut)])
    pieces = (text[start:end].strip() for start, end in _pack(text, sentences, max_characters, finer))
    return [piece for piece in pieces if piece]


def _find_ends(pattern: re.Pattern[str], shadow: str, span: Span) -> list[int]:
    return [match.end() for match in pattern.finditer(shadow, *span)]


def _cut(span: Span, cuts: Sequence[int]) -> list[Span]:
    places = [span[0], *sorted({cut for cut in cuts if span[0] < cut < span[1]}), span[1]]
    return list(itertools.pairwise(places))


def _find_letter_cuts(text: str, span: Span, size: int) -> list[int]:
    """Cut a single word that is too long every `size` characters, but not inside a pronunciation."""
    cuts, place = [], span[0]
    for match in PRONUNCIATION.finditer(text, *span):
        cuts += [*range(place, match.start(), size), match.start(), match.end()]
        place = match.end()
    return cuts + list(range(place, span[1], size))


def _pack(text: str, spans: Sequence[Span], limit: int, finer: Sequence[Callable[[Span], list[Span]]]) -> list[Span]:
    """Join neighbouring spans as far as `limit` allows. The first of `finer` cuts longer ones, then the next, etc."""
    packed: list[Span] = []
    joinable = False  # the parts of a long span are not joined with its neighbours
    for span in spans:
        if _measure_length(text, span) > limit and finer:
            packed += _pack(text, finer[0](span), limit, finer[1:])
            joinable = False
        elif joinable and _measure_length(text, (packed[-1][0], span[1])) <= limit:
            packed[-1] = (packed[-1][0], span[1])
        else:
            packed.append(span)
            joinable = True
    return packed


def _measure_length(text: str, span: Span) -> int:
    return len(text[slice(*span)].strip())
