"""Pair the words of a text with the same ones that a recogniser understood."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from common.errors import InputError
from voice.recordings.texts.words import GivenText

Range = tuple[int, int]  # start and end


def pair_words(heard: Sequence[str], given: GivenText, ends: set[int]) -> list[tuple[int, int]]:
    """Return the pairs (word of the text, heard word) that are the same, in the alignment with the fewest edits.

    Args:
        heard: what was understood, word by word.
        given: the text.
        ends: heard words with which segments begin, and the number of words.
    """
    codes = levenshtein().opcodes(given.keys, list(heard))
    partners = [-1] * len(heard)  # the word of the text that each heard word is
    for code in codes:
        if code.tag == "equal":
            partners[code.dest_start : code.dest_end] = range(code.src_start, code.src_end)
    for code in codes:
        if code.tag == "insert":
            _slide_added(partners, code.dest_start, code.dest_end, heard, ends)
        elif code.tag == "delete":
            _slide_skipped(partners, code.dest_start, (code.src_start, code.src_end), given, ends)
    return [(word, index) for index, word in enumerate(partners) if word >= 0]


def _slide_added(partners: list[int], start: int, end: int, heard: Sequence[str], ends: set[int]) -> None:
    """Move added words [start, end) along words that repeat them, so that they end with a segment if they can.

    "the cat | the cat sat" for "the cat sat" has two alignments with as many edits. The one that adds a whole segment
    is right: somebody began again.
    """
    shifts = [0]
    while (
        (first := start + shifts[-1] - 1) >= 0 and partners[first] >= 0 and heard[first] == heard[end + shifts[-1] - 1]
    ):
        shifts.append(shifts[-1] - 1)
    shifts.append(0)
    while (last := end + shifts[-1]) < len(heard) and partners[last] >= 0 and heard[last] == heard[start + shifts[-1]]:
        shifts.append(shifts[-1] + 1)
    best = max(shifts, key=lambda shift: ((start + shift in ends) + (end + shift in ends), -abs(shift)))
    for _ in range(-best):
        start, end = start - 1, end - 1
        partners[end], partners[start] = partners[start], -1
    for _ in range(best):
        partners[start], partners[end] = partners[end], -1
        start, end = start + 1, end + 1


def _slide_skipped(partners: list[int], place: int, skipped: Range, given: GivenText, ends: set[int]) -> None:
    """Move skipped words of the text along words that repeat them, to the end of a segment or of a sentence.

    Args:
        partners: the word of the text that each heard word is, -1 for none.
        place: heard word before which the words are skipped.
        skipped: first word, and the word after the last one.
        given: the text.
        ends: heard words with which segments begin.
    """
    start, end = skipped
    shifts = [0]
    while (before := place + shifts[-1] - 1) >= 0 and partners[before] == start + shifts[-1] - 1 >= 0:
        if given.keys[start + shifts[-1] - 1] != given.keys[end + shifts[-1] - 1]:
            break
        shifts.append(shifts[-1] - 1)
    shifts.append(0)
    while (after := place + shifts[-1]) < len(partners) and partners[after] == end + shifts[-1]:
        if given.keys[start + shifts[-1]] != given.keys[end + shifts[-1]]:
            break
        shifts.append(shifts[-1] + 1)
    best = max(shifts, key=lambda shift: (place + shift in ends, given.break_before(start + shift), -abs(shift)))
    for step in range(-best):
        partners[place - 1 - step] += end - start
    for step in range(best):
        partners[place + step] -= end - start


@functools.cache
def levenshtein() -> Any:
    """Return the distances and alignments of rapidfuzz.

    Raises:
        InputError: it is not installed.
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError:
        raise InputError("aligning long texts needs rapidfuzz: pip install rapidfuzz") from None
    return Levenshtein
