"""Judge what a recogniser wrote down: how sure it was, and the marks of words that nobody said."""

from __future__ import annotations

import dataclasses
import math
import re
import statistics
from collections import Counter
from collections.abc import Sequence

from common.recognition.whisper import Heard, HeardWord

NO_WORDS = "no words"
LOW_CONFIDENCE = "low confidence"
NOT_UNDERSTOOD = "not understood"
REPEATS = "repeats itself"
MAY_BE_INVENTED = "may not have been said"
NO_TIME_SEC = 0.02  # length of an invented word
FASTEST_WORD_SEC = 0.1  # mean of several words
LEAST_SURE_WORDS = 3
UNDERSTOOD = 0.2  # confidence below which a text is not used: inventions in noise, or another language
SURE = 0.65  # confidence below which a text is marked for review
MOST_COMPRESSION = 2.4  # of a text by zlib: Whisper's own limit for texts that go round in circles
MOST_CHARACTERS_PER_SEC = 28.0  # fast speech has 20
FEWEST_CHARACTERS_PER_SEC = 4.0  # slow speech has 8
_CIRCLE = 3  # times that the same three words follow each other


def cut_invented_end(heard: Heard) -> Heard:
    """Return what was heard without the words at its end that take no time.

    Whisper often goes on after the speech, with "Thank you for watching" or in circles. It finds no place for such
    words in the audio: they lie at its end, one on the other.
    """
    kept = _count_spoken(heard.words)
    if kept == len(heard.words):
        return heard
    end = 0
    for word in heard.words[:kept]:
        end = heard.text.find(word.text, end) + len(word.text)
    return dataclasses.replace(heard, text=heard.text[:end], words=heard.words[:kept], compression=0.0)


def _count_spoken(words: Sequence[HeardWord]) -> int:
    """Return the number of words before an end that is too fast to be said, and begins with a word without a length."""
    for index, word in enumerate(words[:-1]):
        rest_sec = words[-1].end_sec - word.start_sec
        if word.end_sec - word.start_sec <= NO_TIME_SEC and rest_sec < FASTEST_WORD_SEC * (len(words) - index):
            return index
    return len(words)


def confidence(heard: Heard) -> float:
    """Return how sure a recogniser is of a text, 0 to 1: the mean probability of its three least probable words.

    It is 0 without a text. A text with one wrong word is wrong, so the mean of all words says less.
    """
    if not heard.words:
        return round(math.exp(min(0.0, heard.log_probability)), 3) if heard.text else 0.0
    return round(statistics.fmean(sorted(word.probability for word in heard.words)[:LEAST_SURE_WORDS]), 3)


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
    certain = confidence(heard)
    if certain < SURE:
        faults.append(LOW_CONFIDENCE if certain >= UNDERSTOOD else NOT_UNDERSTOOD)
    return tuple(faults)


def _goes_in_circles(text: str) -> bool:
    words = re.findall(r"\w+", text.lower())
    threes = Counter(zip(words, words[1:], words[2:], strict=False))
    return max(threes.values(), default=0) >= _CIRCLE
