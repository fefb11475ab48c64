"""How a text is spoken: where the speech begins and ends, its melody, and the number of syllables."""

from __future__ import annotations

import functools
import math
import re

import numpy as np

from common.text import TextProcessor
from evaluation.spectra import LOUD_FRAME_PERCENTILE, PAUSE_WINDOW_SEC

FRAME_SEC = 0.01  # of the pitch track
# Distance of silence from the loud frames. The noise of a living room is 35 dB below them, weak consonants up to 25 dB.
SILENCE_BELOW_LOUD_DB = 30.0
LOW_PERCENTILE, HIGH_PERCENTILE = 5, 95  # of the pitch range, which single wrong frames must not widen
_PRONOUNCED = re.compile(r"\{([^}]*)\}")
_VOWEL_LETTERS = re.compile(r"[aeiouy]+", re.IGNORECASE)
_FINAL_SILENT_E = re.compile(r"(?<=[^aeiouyl\W])e\b", re.IGNORECASE)


def find_speech(wav: np.ndarray, sampling_rate: int) -> tuple[float, float]:
    """Return where the speech in [T] samples begins and ends, in seconds: without the silence at both ends.

    Silence is 30 dB below the loud frames. Frames have 20 ms, which limits the accuracy.
    """
    size = round(PAUSE_WINDOW_SEC * sampling_rate)
    frames = np.pad(wav, (0, -len(wav) % size)).reshape(-1, size)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    threshold = np.percentile(power, LOUD_FRAME_PERCENTILE) * 10 ** (-SILENCE_BELOW_LOUD_DB / 10)
    loud = np.flatnonzero(power > threshold)
    if not loud.size:
        return 0.0, 0.0
    return float(loud[0] * size / sampling_rate), float(min((loud[-1] + 1) * size, len(wav)) / sampling_rate)


def mean_hz(f0_hz: np.ndarray) -> float:
    """Return the mean of the voiced frames (above 0), in Hz, or NaN without any."""
    voiced = f0_hz[f0_hz > 0]
    return float(voiced.mean()) if voiced.size else math.nan


def deviation_hz(f0_hz: np.ndarray) -> float:
    """Return the standard deviation of the voiced frames, in Hz, or NaN without any."""
    voiced = f0_hz[f0_hz > 0]
    return float(voiced.std()) if voiced.size else math.nan


def range_hz(f0_hz: np.ndarray) -> float:
    """Return the distance from the 5th to the 95th percentile of the voiced frames, in Hz, or NaN without any."""
    voiced = f0_hz[f0_hz > 0]
    return float(np.subtract(*np.percentile(voiced, [HIGH_PERCENTILE, LOW_PERCENTILE]))) if voiced.size else math.nan


def voiced_percent(f0_hz: np.ndarray) -> float:
    """Return the percentage of voiced frames, or NaN without frames."""
    return float((f0_hz > 0).mean() * 100) if f0_hz.size else math.nan


def count_syllables(text: str) -> int:
    """Count the syllables of an English text as it is read aloud, with numbers and abbreviations in words.

    They are the vowels of the pronouncing dictionary, and for words that it lacks the groups of vowel letters.
    """
    pronounced = _reader().pronounce(_reader().clean(text))
    phonemes = " ".join(_PRONOUNCED.findall(pronounced)).split()
    stressed = sum(phoneme[-1].isdigit() for phoneme in phonemes)
    return stressed + sum(_count_in_letters(word) for word in _PRONOUNCED.sub(" ", pronounced).split())


def _count_in_letters(word: str) -> int:
    return len(_VOWEL_LETTERS.findall(_FINAL_SILENT_E.sub("", word))) or int(word.isalpha())


@functools.cache
def _reader() -> TextProcessor:
    return TextProcessor()
