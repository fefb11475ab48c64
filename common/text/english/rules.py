"""Rules of reading: patterns and what replaces them, applied in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

DIGITS = "0123456789"
ALWAYS = ""
# Characters of which a text must contain one for the rule to apply (ALWAYS: none), pattern, and replacement. Most
# texts lack most of these characters, and a search for a character is a hundred times faster than one for a pattern.
Rule = tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]]


def apply_rules(rules: Sequence[Rule], text: str) -> str:
    """Replace what each rule matches, in order."""
    for needs, pattern, replacement in rules:
        if not needs or any(character in text for character in needs):
            text = pattern.sub(replacement, text)
    return text
