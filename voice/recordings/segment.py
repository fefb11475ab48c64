"""Segments of recordings with their texts, and transcripts that users bring: the values that the steps hand on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

MIN_SEC, MAX_SEC = 1.0, 12.0  # length of a segment that training uses
LONGEST_GIVEN_SEC = 15.0  # speech that stays whole because its text is known; in longer speech, places are unknown

GIVEN, RECOGNISED, EDITED = "given", "recognised", "edited"
SOURCES = (GIVEN, RECOGNISED, EDITED)  # where a segment's text comes from


@dataclasses.dataclass(frozen=True)
class Recording:
    """A file of the user.

    Attributes:
        path: the file.
        name: path relative to the folder of recordings, with its suffix.
        speaker: name of the speaker, "" if the folder has only one.
    """

    path: Path
    name: str
    speaker: str = ""


@dataclasses.dataclass(frozen=True)
class Cue:
    """A text with its place in a recording, as subtitles have it."""

    start_sec: float
    end_sec: float
    text: str


@dataclasses.dataclass(frozen=True)
class Transcript:
    """The text of a whole recording, and its cues if the times are known."""

    text: str
    cues: tuple[Cue, ...] = ()


@dataclasses.dataclass(frozen=True)
class Segment:
    """A piece of a recording, which becomes a clip of the data set.

    Attributes:
        clip: id, and the path of its wav file below `wavs/` without suffix.
        recording: `Recording.name`.
        start_sec: place in the recording.
        end_sec: its end there.
        speaker: name of the speaker, "" if there is only one.
        text: what is said, "" if not known yet.
        source: where the text comes from, one of `SOURCES`, or "" without a text.
        confidence: of the recogniser, or how well a given text agrees with it, 0 to 1. None without a recogniser.
        use: whether training uses it.
        remarks: what to look at in a review, a few words each.
    """

    clip: str
    recording: str
    start_sec: float
    end_sec: float
    speaker: str = ""
    text: str = ""
    source: str = ""
    confidence: float | None = None
    use: bool = True
    remarks: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return self.end_sec - self.start_sec


def by_recording(segments: Iterable[Segment]) -> dict[str, list[Segment]]:
    """Return the segments of each recording."""
    groups: dict[str, list[Segment]] = {}
    for segment in segments:
        groups.setdefault(segment.recording, []).append(segment)
    return groups
