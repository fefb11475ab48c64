"""The English cleaners that published models were trained with. They read whole sentences, not single words.

Where the original's recorded result is clearly wrong English, these differ. tests/parity/test_text.py lists every such
place.
"""

from __future__ import annotations

import re

from common.text.any_language.cleaners import basic_cleaners, collapse_space
from common.text.any_language.transliteration import to_ascii
from common.text.english.abbreviations import expand_abbreviations, expand_signs, expand_web, spell_acronyms
from common.text.english.numbers import expand_money, expand_numbers
from common.text.english.times import expand_dates, expand_times
from common.text.english.units import expand_units, split_mixed

_SLASHES = re.compile(r"[/\\_|]+")


def english_cleaners(text: str) -> str:
    """Convert to lower-case ASCII, expand numbers and abbreviations: the cleaner of Tacotron 2 and early models."""
    text = expand_money(collapse_space(to_ascii(text)))
    text = expand_signs(expand_abbreviations(text))
    return basic_cleaners(expand_numbers(text, roman=False))


def english_cleaners_v2(text: str) -> str:
    """`english_cleaners` plus times, dates, units, Roman numerals, and acronyms: the cleaner of FastPitch."""
    # Amounts of money come first, because their letters (£2m, $5k) are not units. Addresses and times come next, before
    # another rule takes their dots and colons for decimals or ends of sentences.
    text = expand_web(expand_money(collapse_space(to_ascii(text))))
    text = expand_times(expand_dates(text))
    text = expand_abbreviations(expand_units(text))
    text = expand_signs(split_mixed(text))
    text = spell_acronyms(expand_numbers(text))
    return basic_cleaners(_SLASHES.sub(" ", text))
