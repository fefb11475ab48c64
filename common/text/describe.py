"""How a text is read: its words, as it is cleaned, and in symbols."""

from __future__ import annotations

import re
from collections.abc import Iterable

from common.errors import InputError, printable
from common.text.processor import NothingToSay, TextProcessor

_NO_WORD = re.compile(r"[^\w\s'{}]+")


def describe_text(processor: TextProcessor, text: str) -> list[str]:
    """Return lines that show how a text is read.

    Raises:
        InputError: the text cannot be encoded, see `TextProcessor.encode`.
    """
    cleaned, ids = processor.clean(text), processor.encode(text)
    if not processor.has_sound(ids):
        raise NothingToSay("nothing can be spoken: there are no letters or digits")
    lines = [
        f"text:    {printable(text)}",
        f"read:    {printable(' '.join(_NO_WORD.sub(' ', cleaned).split()))}",
        f"cleaned: {printable(cleaned)}",
        f"symbols: {processor.decode(ids)}",
    ]
    letters = processor.letter_words(cleaned)
    if letters:
        lines.append("letters: " + ", ".join(f"{word} ({reason})" for word, reason in letters.items()))
    return lines


def print_texts(processor: TextProcessor, texts: Iterable[tuple[str, str]]) -> int:
    """Print how texts are read, each below its title if it has one. Return how many cannot be spoken."""
    problems = 0
    for title, text in texts:
        if title:
            print(title)
        try:
            print("\n".join(describe_text(processor, text)))
        except InputError as error:
            problems += 1
            print(f"text:    {printable(text)}\nerror:   {error}")
    return problems
