"""Judge what a recogniser wrote down: how sure it was, and the marks of words that nobody said."""

from __future__ import annotations

import math
import re
from collections import Counter

from common.recognition.whisper import Heard

NO_WORDS = "no words"
LOW_CONFIDENCE = "low confidence"
REPEATS = "repeats itself"
MAY_BE_INVENTED = "may not have been said"
SURE = 0.6  # confidence below which a text is marked for review
MOST_COMPRESSION = 2.4  # of a text by zlib: Whisper's own limit for texts that go round in circles
MOST_CHARACTERS_PER_SEC = 28.0  # fast speech has 20
FEWEST_CHARACTERS_PER_SEC = 4.0  # slow speech has 8
_CIRCLE = 3  # times that the same three words follow each other


def confidence(heard: Heard) -> float:
    """Return the geometric mean of the probabilities of the text's tokens, 0 to 1. It is 0 without a text."""
    return round(math.exp(min(0.0, heard.log_probability)), 3) if heard.text else 0.0


def find_faults(heard: Heard, text: str, seconds: float) -> tuple[str, ...]:
    """Return remarks on a recognised text that should be looked at.

    Args:
        heard: what was understood.
        text: the same, cleaned.
        seconds: length of the audio.
    """
    if not any(map(str.isalnum, text)):
        return (NO_WORDS,)
    faults = []
    if heard.compression > MOST_COMPRESSION or _goes_in_circles(text):
        faults.append(REPEATS)
    if not FEWEST_CHARACTERS_PER_SEC <= len(text) / seconds <= MOST_CHARACTERS_PER_SEC:
        faults.append(MAY_BE_INVENTED)
    if confidence(heard) < SURE:
        faults.append(LOW_CONFIDENCE)
    return tuple(faults)


def _goes_in_circles(text: str) -> bool:
    words = re.findall(r"\w+", text.lower())
    threes = Counter(zip(words, words[1:], words[2:], strict=False))
    return max(threes.values(), default=0) >= _CIRCLE
