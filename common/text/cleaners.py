"""The cleaners that published models were trained with, by name. They read whole sentences, not single words.

Where a recorded result of the original is plainly wrong English, these differ: tests/common/text/test_parity.py lists
every such place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from common.errors import InputError
from common.text.english.abbreviations import expand_abbreviations, expand_signs, expand_web, spell_acronyms
from common.text.english.numbers import expand_money, expand_numbers
from common.text.english.times import expand_dates, expand_times
from common.text.english.units import expand_units, split_mixed
from common.text.transliteration import to_ascii

_SPACE = re.compile(r"\s+")
_SLASHES = re.compile(r"[/\\_|]+")


def collapse_space(text: str) -> str:
    """Each run of white space becomes one space."""
    return _SPACE.sub(" ", text)


def basic_cleaners(text: str) -> str:
    """Lower case, one space between words; every character stays."""
    return collapse_space(text.lower())


def transliteration_cleaners(text: str) -> str:
    """`basic_cleaners` of the text in ASCII letters."""
    return basic_cleaners(to_ascii(text))


def english_cleaners(text: str) -> str:
    """ASCII, lower case, numbers, abbreviations: the cleaner of Tacotron 2 and early models."""
    text = expand_money(collapse_space(to_ascii(text)))
    text = expand_signs(expand_abbreviations(text))
    return basic_cleaners(expand_numbers(text, roman=False))


def english_cleaners_v2(text: str) -> str:
    """`english_cleaners` with times, dates, units, Roman numerals and acronyms: the cleaner of FastPitch."""
    # Amounts of money first: their letters (£2m, $5k) are no units. Dots and colons that belong to addresses and times
    # next, before a rule takes them for decimals or ends of sentences.
    text = expand_web(expand_money(collapse_space(to_ascii(text))))
    text = expand_times(expand_dates(text))
    text = expand_abbreviations(expand_units(text))
    text = expand_signs(split_mixed(text))
    text = spell_acronyms(expand_numbers(text))
    return basic_cleaners(_SLASHES.sub(" ", text))


CLEANERS: dict[str, Callable[[str], str]] = {
    cleaner.__name__: cleaner
    for cleaner in (basic_cleaners, transliteration_cleaners, english_cleaners, english_cleaners_v2)
}


def cleaners_of(names: str | Sequence[str]) -> list[Callable[[str], str]]:
    """The cleaners of these names, in order.

    Raises:
        InputError: no cleaner of this name.
    """
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in CLEANERS:
            raise InputError(f"unknown text cleaner {name!r}; choose among {', '.join(CLEANERS)}")
    return [CLEANERS[name] for name in names]
