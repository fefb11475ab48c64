"""The English cleaners: the steps that turn a text into lower-case words, and their order.

Published models were trained with `english_cleaners_v2`. Where the recorded result of the original is clearly wrong
English, these differ. tests/parity/test_text.py lists every such place. They read whole sentences, not single words.
"""

from __future__ import annotations

from collections.abc import Callable

from common.text.any_language.cleaners import basic_cleaners, collapse_space
from common.text.any_language.transliteration import to_ascii
from common.text.english.figures.dates import expand_dates
from common.text.english.figures.digit_groups import expand_digit_groups
from common.text.english.figures.fractions import expand_fractions
from common.text.english.figures.mathematics import expand_mathematics
from common.text.english.figures.money import expand_money
from common.text.english.figures.numbers import expand_numbers
from common.text.english.figures.ranges import expand_ranges
from common.text.english.figures.times import expand_times
from common.text.english.figures.units import expand_units
from common.text.english.words.abbreviations import expand_abbreviations
from common.text.english.words.capitals import spell_acronyms
from common.text.english.words.mixed import split_mixed
from common.text.english.words.roman import expand_roman
from common.text.english.words.signs import expand_signs, expand_typographic_signs
from common.text.english.words.web import expand_web

# Each step reads one kind of thing and leaves words, so that no later step takes it for another kind. Hence the order:
STEPS: tuple[Callable[[str], str], ...] = (
    expand_typographic_signs,  # before transliteration, which knows no micro and no square
    to_ascii,
    collapse_space,
    expand_web,  # the dots, slashes and hyphens of addresses and code are no punctuation
    expand_money,  # its letters ($5k, £2m) are no units
    expand_dates,  # 3/15/24 is no fraction, 12-24-2023 no range
    expand_times,
    expand_digit_groups,  # telephone numbers are no ranges
    expand_fractions,
    expand_ranges,  # leaves the numbers for their units
    expand_units,
    expand_mathematics,
    expand_abbreviations,  # No. II: before the numeral loses its capitals
    expand_roman,
    split_mixed,
    expand_signs,
    expand_numbers,
    spell_acronyms,
    basic_cleaners,
)

_LONG_SPACE = " " * 16


def english_cleaners(text: str) -> str:
    """Convert to lower-case ASCII, expand numbers and abbreviations: the cleaner of Tacotron 2 and early models."""
    for step in (to_ascii, collapse_space, expand_money, expand_fractions, expand_abbreviations, expand_signs):
        text = step(text)
    return basic_cleaners(expand_numbers(text))


def english_cleaners_v2(text: str) -> str:
    """Convert to lower-case words as they are spoken, with all of `STEPS`: the cleaner of FastPitch."""
    for step in STEPS:
        text = step(text)
        if _LONG_SPACE in text:  # of many signs that became spaces; patterns would search it again and again
            text = collapse_space(text)
    return text
