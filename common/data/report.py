"""Find texts that do not fit their audio, repeated texts and unknown words in a data set."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from common.audio_files import wav_info
from common.data.metadata import Metadata
from common.errors import InputError, others_go_on
from common.text.english.cleaners import english_cleaners_v2
from common.text.english.pronunciations import WORD, CmuDictionary

MOST_DEVIATIONS = 5.0  # of characters per second from the median, in deviations
LEAST_FACTOR = 2.0  # that a far rate of speech differs by, however equal the others are
NAMED = 50  # entries of each kind in the report


class DataReport:
    """Findings about the clips of a data set.

    Args:
        root: the data set.
        metadata: texts of the clips.
        wavs: audio file of each clip, relative to the data set.
        least_samples: samples that a mel spectrogram needs.

    Attributes:
        kinds: what was found -> entries, such as clips.
        seconds: length of all audio.
        num_clips: number of clips.
    """

    def __init__(self, root: Path, metadata: Metadata, wavs: Mapping[str, str], least_samples: int) -> None:
        self.num_clips = len(wavs)
        problems: list[str] = []
        lengths: dict[str, float] = {}
        short: list[str] = []
        for clip, name in wavs.items():
            with others_go_on(root / name, problems):
                info = wav_info(root / name)
                lengths[clip] = info.frames / info.sampling_rate
                if info.frames < least_samples:
                    short.append(f"{name}: {info.frames} samples, {least_samples} are needed")
        texts = {clip: metadata.texts[clip] for clip in wavs}
        self.seconds = sum(lengths.values())
        self.kinds = {
            "audio files that cannot be read": problems,
            "clips shorter than a frame": short,
            "texts that hardly fit their audio": find_misfits(texts, lengths),
            "repeated texts": [
                f"{text} ({count} times)" for text, count in Counter(texts.values()).items() if count > 1
            ],
            "words that are not in the English dictionary": find_unknown_words(texts),
        }

    def summary(self) -> str:
        """Return one line."""
        found = ", ".join(f"{len(entries)} {kind}" for kind, entries in self.kinds.items() if entries)
        return f"{self.num_clips} clips, {self.seconds / 3600:.2f} hours" + (f"; {found}" if found else "")

    def lines(self) -> list[str]:
        """Return the lines of the report."""
        lines = [self.summary()]
        for kind, entries in self.kinds.items():
            if entries:
                more = [f"... and {len(entries) - NAMED} more"] if len(entries) > NAMED else []
                lines += ["", f"{len(entries)} {kind}:", *entries[:NAMED], *more]
        return lines


def find_misfits(texts: Mapping[str, str], seconds: Mapping[str, float]) -> list[str]:
    """Describe the clips whose characters per second are far from the others', the farthest first.

    Probably another text belongs to them, or the audio is cut off.
    """
    return [
        f"{clip}: {len(texts[clip])} characters in {seconds[clip]:.2f} s, {rate:.1f} a second instead of about "
        f"{median:.1f}"
        for clip, (rate, median) in find_far_rates(texts, seconds).items()
    ]


def find_far_rates(texts: Mapping[str, str], seconds: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Return the clips whose characters per second are far from the others': their rate, and the median.

    The farthest come first. The distance is robust: in median deviations from the median, of the logarithms of the
    rates. Of fewer than five clips, none is far.
    """
    rates = {clip: len(texts[clip]) / length for clip, length in seconds.items() if texts[clip] and length > 0}
    if len(rates) < 5:
        return {}
    median = statistics.median(rates.values())
    factors = {clip: max(rate / median, median / rate) for clip, rate in rates.items()}
    limit = max(LEAST_FACTOR, statistics.median(factors.values()) ** MOST_DEVIATIONS)
    far = sorted((clip for clip in factors if factors[clip] > limit), key=lambda clip: -factors[clip])
    return {clip: (rates[clip], median) for clip in far}


def find_unknown_words(texts: Mapping[str, str]) -> list[str]:
    """Return words that the English dictionary lacks, with their number, the most frequent first."""
    try:
        dictionary = CmuDictionary()
    except InputError:  # not installed
        return []
    words: Counter[str] = Counter()
    for text in texts.values():
        words.update(WORD.findall(re.sub(r"\{[^{}]*\}", " ", english_cleaners_v2(text))))
    unknown = [word for word in words if len(word) > 1 and not dictionary.knows(word)]
    return [f"{word} ({words[word]})" for word in sorted(unknown, key=lambda word: (-words[word], word))]
