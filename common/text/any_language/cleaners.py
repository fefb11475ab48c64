"""Cleaners that fit every language."""

from __future__ import annotations

import re

from common.text.any_language.transliteration import to_ascii

_SPACE = re.compile(r"\s+")


def collapse_space(text: str) -> str:
    """Replace each run of white space by one space."""
    return _SPACE.sub(" ", text)


def basic_cleaners(text: str) -> str:
    """Convert to lower case and collapse white space. Every other character stays."""
    return collapse_space(text.lower())


def transliteration_cleaners(text: str) -> str:
    """Transliterate to ASCII, then apply `basic_cleaners`."""
    return basic_cleaners(to_ascii(text))
