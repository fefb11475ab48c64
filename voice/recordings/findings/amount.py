"""How much speech there is, whether it is enough, and what to expect from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from common.errors import InputError, first_three
from voice.recordings.segment import Segment

LEAST_MINUTES = 1.0
# Two of twenty are for validation and two for the test, which leaves a step of FastPitch's training, 16 clips.
FEWEST_TEXTS = 20


@dataclasses.dataclass(frozen=True)
class Expectation:
    """Measured quality of a voice from this amount of speech.

    Attributes:
        minutes: usable speech, in minutes.
        words: the figures in words, "" while nobody has measured them.
    """

    minutes: float
    words: str = ""


# benchmarks/results/own-voice.md: one speaker, from the included voice, on a CPU. The last one is that voice.
EXPECTATIONS = (
    Expectation(5, "the speaker's pitch and melody, muffled, one word in seven misunderstood (measured: 14 %)"),
    Expectation(15, "likewise, one word in ten misunderstood (measured with 18 minutes: 10 %)"),
    Expectation(30),
    Expectation(60, "measured only for the included voice, from scratch: 12 %, somewhat less muffled"),
)


def describe_amount(minutes: float, num_clips: int) -> list[str]:
    """Return lines about the amount of usable speech and what to expect: of the amounts below and above it."""
    lines = [f"{minutes:.1f} minutes of usable speech in {num_clips} clips"]
    below = [item for item in EXPECTATIONS if item.minutes <= minutes][-1:]
    above = [item for item in EXPECTATIONS if item.minutes > minutes][:1]
    for item in (*below, *above):
        lines.append(f"  from {item.minutes:g} minutes: {item.words or 'not measured yet'}")
    if above:
        lines.append("  more recordings make a better voice: add them to the folder and run the same command again")
    return lines


def describe_speakers(speakers: Mapping[str, Sequence[Segment]]) -> list[str]:
    """Return a line about the speakers with too little speech for a voice of their own, if there are several speakers.

    Args:
        speakers: usable segments of each speaker.
    """
    minutes = {name: sum(item.seconds for item in segments) / 60 for name, segments in speakers.items()}
    little = [f"{name} ({minutes[name] * 60:.0f} s)" for name in sorted(minutes) if minutes[name] < LEAST_MINUTES]
    if len(speakers) < 2 or not little:
        return []
    return [f"speakers with less than {LEAST_MINUTES * 60:.0f} seconds, too little to learn: {first_three(little)}"]


def require_enough(minutes: float, num_texts: int, num_skipped: int) -> None:
    """Raise `InputError` unless the speech is enough to train a voice at all.

    Args:
        minutes: usable speech, in minutes.
        num_texts: number of different texts in it.
        num_skipped: clips that are not used.
    """
    skipped = f" ({num_skipped} clips are skipped, see review.html)" if num_skipped else ""
    if minutes < LEAST_MINUTES:
        raise InputError(
            f"{minutes * 60:.0f} seconds of usable speech{skipped} are too little for a voice: it takes "
            f"{LEAST_MINUTES * 60:.0f} seconds at the least, and {EXPECTATIONS[0].minutes:g} minutes to be of use; "
            "record more"
        )
    if num_texts < FEWEST_TEXTS:
        raise InputError(
            f"{num_texts} clips with different texts{skipped} are too few for training, validation and test: it takes "
            f"{FEWEST_TEXTS} at the least; record more"
        )
