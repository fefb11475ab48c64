"""Find the stretch of a given text that each segment speaks, from what a recogniser understood.

All words of a recording are aligned at once with the fewest edits (Levenshtein distance). rapidfuzz does it exactly, in
three seconds for ten hours of speech, so no band is needed. Between words that agree, the text is divided among the
segments so that the letters differ least: a recogniser often splits or joins words, and writes numbers in digits.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from voice.recordings.texts.pairing import Range, levenshtein, pair_words
from voice.recordings.texts.words import GivenText, split_keys

IN_TEXT = 0.5  # agreement of letters below which a segment speaks something else
UNHEARD_WORDS = 4  # words in a row that the recogniser does not have at all: skipped, rather than misunderstood
_SKIPPED_LETTER = 0.5  # cost, where an added, missing or other letter costs 1
_BREAK_BONUS = 0.2  # decides between equal costs: segments often end where sentences do
_LEAST_AGREEING = 0.34  # share of a segment's words
_MOST_DIVIDED = 60  # words between two agreeing ones; more of them belong to something else


@dataclasses.dataclass(frozen=True)
class Stretch:
    """The part of a text that a segment speaks.

    Attributes:
        text: as it was given, with its punctuation. "" if the segment speaks something else.
        agreement: share of letters in which it and the recognised words are the same, 0 to 1.
        unheard_before: words of the text between the one that is spoken before and this one, which nobody speaks.
        unheard_after: words of the text between this one and the next that is spoken.
    """

    text: str
    agreement: float
    unheard_before: str = ""
    unheard_after: str = ""


@dataclasses.dataclass(frozen=True)
class _Core:
    """Words [start, end) of the text, and [heard_start, heard_end) of a segment, whose first and last ones agree."""

    start: int
    end: int
    heard_start: int
    heard_end: int


@dataclasses.dataclass(frozen=True)
class Alignment:
    """The stretches of a text, one for each segment, and its words that no segment speaks."""

    stretches: tuple[Stretch, ...]
    unheard: tuple[str, ...]


def align(text: str, heard: Sequence[str]) -> Alignment:
    """Divide a text among the segments of a recording.

    Args:
        text: what is read in the recording.
        heard: what was understood of each segment, in order.

    Raises:
        InputError: rapidfuzz is not installed.
    """
    given = GivenText(text)
    words = [split_keys(one) for one in heard]
    ends = [0]
    for one in words:
        ends.append(ends[-1] + len(one))
    pairs = pair_words([key for one in words for key in one], given, set(ends))
    ranges = _divide(pairs, given, words)
    agreements = [_agreement(given.letters(*one), "".join(heard)) for one, heard in zip(ranges, words, strict=True)]
    ranges = [one if agreement >= IN_TEXT else (0, 0) for one, agreement in zip(ranges, agreements, strict=True)]
    spoken = [(0, 0), *(one for one in ranges if one[0] < one[1]), (len(given.keys), len(given.keys))]
    gaps = [(before[1], after[0]) for before, after in itertools.pairwise(spoken)]
    unheard_before = {end: given.stretch(start, end) for start, end in gaps}
    unheard_after = {start: given.stretch(start, end) for start, end in gaps}
    stretches = []
    for (start, end), agreement in zip(ranges, agreements, strict=True):
        unheard = (unheard_before[start], unheard_after[end]) if start < end else ("", "")
        stretches.append(Stretch(given.stretch(start, end), agreement, *unheard))
    return Alignment(tuple(stretches), tuple(given.stretch(*gap) for gap in gaps if gap[0] < gap[1]))


def _divide(pairs: Sequence[tuple[int, int]], given: GivenText, words: Sequence[Sequence[str]]) -> list[Range]:
    """Return the words [start, end) of the text that each segment speaks."""
    cores = _find_cores(pairs, words)
    ranges: list[Range] = [(0, 0)] * len(words)
    known = [index for index, core in enumerate(cores) if core]
    for left, right in zip([-1, *known], [*known, len(words)], strict=True):
        before = cores[left] if left >= 0 else None
        after = cores[right] if right < len(words) else None
        middle = ["".join(words[index]) for index in range(left + 1, right)]
        tail = ["".join(words[left][before.heard_end :])] if before else []
        head = ["".join(words[right][: after.heard_start])] if after else []
        start, end = before.end if before else 0, after.start if after else len(given.keys)
        divided = _divide_gap(given, start, end, [*tail, *middle, *head], (bool(before), bool(after)))
        if before:
            ranges[left] = (ranges[left][0], divided.pop(0)[1])
        if after:
            ranges[right] = (divided.pop()[0], after.end)
        ranges[left + 1 : right] = divided
    return ranges


def _find_cores(pairs: Sequence[tuple[int, int]], words: Sequence[Sequence[str]]) -> list[_Core | None]:
    """Return the agreeing words of each segment, from the first to the last. None: few agree, perhaps by chance."""
    owner = [(index, place) for index, one in enumerate(words) for place in range(len(one))]
    agreeing: list[list[tuple[int, int]]] = [[] for _ in words]
    for text_word, heard_word in pairs:
        index, place = owner[heard_word]
        agreeing[index].append((text_word, place))
    return [
        _Core(found[0][0], found[-1][0] + 1, found[0][1], found[-1][1] + 1)
        if found and len(found) >= _LEAST_AGREEING * len(one)
        else None
        for found, one in zip(agreeing, words, strict=True)
    ]


def _divide_gap(given: GivenText, start: int, end: int, parts: Sequence[str], fixed: tuple[bool, bool]) -> list[Range]:
    """Divide the words [start, end) of the text among parts of segments, so that their letters differ least.

    Args:
        given: the text.
        start: first word.
        end: the word after the last one.
        parts: the letters that were understood, of each segment.
        fixed: whether the first part begins at `start`, and whether the last part ends at `end`. All other words may be
            skipped, many at a time.
    """
    if end - start > _MOST_DIVIDED:  # the ends of the neighbours may be here, the rest is nobody's
        half = _MOST_DIVIDED // 2
        first = _divide_gap(given, start, start + half, parts[:1], (True, False))[0] if fixed[0] else (start, start)
        last = _divide_gap(given, end - half, end, parts[-1:], (False, True))[0] if fixed[1] else (end, end)
        middle = [(first[1], first[1])] * (len(parts) - sum(fixed))
        return [*([first] if fixed[0] else []), *middle, *([last] if fixed[1] else [])]
    distance = levenshtein().distance
    # Cost and ranges of the best division of the words before each place, after some of the parts.
    best: dict[int, tuple[float, list[Range]]] = {start: (0.0, [])}
    for number, part in enumerate(parts):
        if number or not fixed[0]:
            best = _skip(best, given, end)
        found: dict[int, tuple[float, list[Range]]] = {}
        for begin, (cost, ranges) in best.items():
            for stop in range(begin, end + 1):
                new = cost + distance(given.letters(begin, stop), part) - _BREAK_BONUS * given.break_before(stop)
                if stop not in found or new < found[stop][0]:
                    found[stop] = (new, [*ranges, (begin, stop)])
        best = found
    if not fixed[1]:
        best = _skip(best, given, end)
    return best[end][1]


def _skip(
    best: dict[int, tuple[float, list[Range]]], given: GivenText, end: int
) -> dict[int, tuple[float, list[Range]]]:
    """Return the divisions with the words after each of them skipped, where that is better."""
    found = dict(best)
    for begin, (cost, ranges) in best.items():
        for stop in range(begin + UNHEARD_WORDS, end + 1):
            new = cost + _SKIPPED_LETTER * len(given.letters(begin, stop)) - _BREAK_BONUS * given.break_before(stop)
            if stop not in found or new < found[stop][0]:
                found[stop] = (new, ranges)
    return found


def _agreement(text: str, heard: str) -> float:
    longest = max(len(text), len(heard))
    return 1 - levenshtein().distance(text, heard) / longest if longest else 0.0
