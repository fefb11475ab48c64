"""Give segments their part of a recording's text."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from common.errors import first_three
from voice.recordings.segment import GIVEN, Cue, Segment, Transcript
from voice.recordings.texts.alignment import align

log = logging.getLogger(__name__)
NO_FITTING_SUBTITLES = "subtitles do not fit"
NOT_IN_TEXT = "not in the given text"
DIFFERS = "given text may differ"
TEXT_MISSING = "words of the text beside it were not heard"
OVERLAP_SEC = 0.15  # that a cue may reach into another segment
LEAST_COVERED = 0.7  # share of a segment, in which it has cues
AGREES = 0.8  # agreement below which a segment is marked


def take_fitting(segments: Sequence[Segment], transcript: Transcript) -> list[Segment]:
    """Give the segments of a recording the texts that are surely theirs.

    These are the whole text of a recording with one segment, and subtitles that lie in one segment and fill it.
    """
    if len(segments) == 1 and transcript.text:
        return [_give(segments[0], transcript.text)]
    return [_give(segment, _fitting_text(segment, segments, transcript.cues)) for segment in segments]


def find_rest(segments: Sequence[Segment], transcript: Transcript) -> tuple[list[Segment], str]:
    """Return the segments of a recording that a recogniser has to hear, and the text that has to be aligned with them.

    Without times, these are all segments and the whole text, unless all segments have texts. With times, they are the
    segments without a text, and the cues in them: "" if there are none.
    """
    without = [segment for segment in segments if not segment.text]
    if not transcript.cues:
        return (list(segments), transcript.text) if without else ([], "")
    cues = [cue for cue in transcript.cues if any(_overlap(cue, segment) > OVERLAP_SEC for segment in without)]
    return without, " ".join(cue.text for cue in cues)


def _give(segment: Segment, text: str) -> Segment:
    return segment if segment.text or not text else dataclasses.replace(segment, text=text, source=GIVEN)


def _fitting_text(segment: Segment, others: Sequence[Segment], cues: Sequence[Cue]) -> str:
    """Return the text of the cues in a segment, or "" if a cue is also in another one or they do not fill it."""
    own = [cue for cue in cues if _overlap(cue, segment) > OVERLAP_SEC]
    shared = [cue for cue in own for other in others if other is not segment and _overlap(cue, other) > OVERLAP_SEC]
    covered = sum(_overlap(cue, segment) for cue in own)
    return " ".join(cue.text for cue in own) if not shared and covered >= LEAST_COVERED * segment.seconds else ""


def _overlap(cue: Cue, segment: Segment) -> float:
    """Return the seconds that a cue and a segment share."""
    return max(0.0, min(cue.end_sec, segment.end_sec) - max(cue.start_sec, segment.start_sec))


def align_text(name: str, segments: Sequence[Segment], text: str) -> list[Segment]:
    """Give the segments of a recording, which have recognised texts, their stretches of its given text.

    Segments that speak something else keep the recognised text. A line in the log names words that nobody speaks.

    Args:
        name: of the recording.
        segments: all of the recording, in any order.
        text: what is read in it.
    """
    ordered = sorted(segments, key=lambda segment: segment.start_sec)
    alignment = align(text, [segment.text for segment in ordered])
    found = []
    for segment, stretch in zip(ordered, alignment.stretches, strict=True):
        remarks = [TEXT_MISSING] if stretch.unheard_before or stretch.unheard_after else []
        if not stretch.text:
            found.append(dataclasses.replace(segment, remarks=(*segment.remarks, NOT_IN_TEXT, *remarks)))
            continue
        if stretch.agreement < AGREES:
            remarks.insert(0, DIFFERS)
        certain = round(stretch.agreement, 3)
        found.append(
            dataclasses.replace(segment, text=stretch.text, source=GIVEN, confidence=certain, remarks=tuple(remarks))
        )
    if alignment.unheard:
        words = sum(len(part.split()) for part in alignment.unheard)
        log.warning("%s: %d words of its text were not heard: %s", name, words, first_three(alignment.unheard))
    return found
