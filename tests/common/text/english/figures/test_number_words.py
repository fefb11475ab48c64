"""Integers in English words, read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.text.english.figures.number_words import cardinal, digits, has_words, ordinal, plain_number, plural

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = "thousand million billion trillion quadrillion quintillion sextillion septillion octillion nonillion decillion"
VALUES = {
    **{word: value for value, word in enumerate(ONES)},
    **{word: 10 * value for value, word in enumerate(TENS, 2)},
}


def read(words: str) -> int:
    """Return the integer that English words stand for."""
    total = group = 0
    for word in words.replace("-", " ").replace(",", "").split():
        if word == "hundred":
            group *= 100
        elif word in SCALES.split():
            total += group * 1000 ** (SCALES.split().index(word) + 1)
            group = 0
        elif word != "and":
            group += VALUES[word]
    return total + group


@given(st.integers(0, 36).flatmap(lambda exponent: st.integers(0, 10**exponent - 1 or 1)))
def test_cardinals_are_read_back(number: int) -> None:
    assert read(cardinal(number)) == number
    assert read(cardinal(number, hyphen="-", comma=",")) == number


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "first"), (12, "twelfth"), (20, "twentieth"), (29, "twenty-ninth"), (101, "one hundred and first")],
)
def test_ordinals(number: int, words: str) -> None:
    assert ordinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (123, "one hundred and twenty three"),
        (1500, "fifteen hundred"),
        (1905, "nineteen oh five"),
        (1984, "nineteen eighty four"),
        (2000, "two thousand"),
        (2009, "two thousand nine"),
        (2010, "twenty ten"),
    ],
)
def test_years(number: int, words: str) -> None:
    assert plain_number(number) == words


def test_digits_plurals_and_the_longest_number() -> None:
    assert digits("505") == "five zero five"
    assert (plural("nineteen twenty"), plural("six"), plural("one")) == ("nineteen twenties", "sixes", "ones")
    assert has_words("0" * 50 + "9" * 36)
    assert not has_words("1" + "0" * 36)
