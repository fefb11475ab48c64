"""Cut a recording by the cues of its subtitles.

The times of subtitles are rough. So the border of two cues is moved to the quietest place nearby, and the speech found
between two borders belongs to the cue.

Shapes: T samples, F frames of energy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voice.recordings.audio.cutting import SpeechPiece, add_margins, cut_at_pauses
from voice.recordings.audio.reading import RATE_HZ
from voice.recordings.audio.speech_activity import HOP, Span, frame_levels_db
from voice.recordings.segment import LONGEST_GIVEN_SEC, MAX_SEC, Cue

MERGED_GAP_SEC = 0.8  # between cues of one clip
ENOUGH_SEC = 3.0  # a clip of this length ends with its sentence
TOLERANCE_SEC = 0.3  # by which times may be wrong
_SENTENCE_ENDS = (".", "?", "!", '."', '?"', '!"', "…")


def cut_cues(wav: np.ndarray, spans: Sequence[Span], cues: Sequence[Cue]) -> list[tuple[SpeechPiece, str]]:
    """Return the pieces of [T] at 22050 Hz with their texts, in order.

    Neighbouring cues are joined up to 12 s. Speech outside all cues, and cues longer than 15 s, become pieces without
    a text.
    """
    groups = merge_cues(cues)
    borders = _find_borders(wav, groups)
    pieces: list[tuple[SpeechPiece, str]] = []
    rest = list(spans)
    for (start, end), group in zip(borders, groups, strict=True):
        inside = _clip_spans(spans, start, end)
        if not inside or inside[-1].end - inside[0].start > LONGEST_GIVEN_SEC:
            continue
        rest = _outside(rest, start, end)
        speech = Span(inside[0].start, inside[-1].end)
        text = " ".join(" ".join(cue.text for cue in group).split())
        pieces.append((add_margins(speech, start, end), text))
    if rest:
        pieces += [(piece, "") for piece in cut_at_pauses(wav, rest)]
    return sorted(pieces, key=lambda item: item[0].start)


def merge_cues(cues: Sequence[Cue]) -> list[list[Cue]]:
    """Join neighbouring cues while they last at most 12 s, up to the end of a sentence."""
    groups: list[list[Cue]] = []
    for cue in sorted(cues, key=lambda cue: cue.start_sec):
        if not cue.text.strip() or cue.end_sec <= cue.start_sec:
            continue
        last = groups[-1] if groups else []
        if last and cue.start_sec - last[-1].end_sec <= MERGED_GAP_SEC and cue.end_sec - last[0].start_sec <= MAX_SEC:
            ended = last[-1].text.rstrip().endswith(_SENTENCE_ENDS)
            if not (ended and last[-1].end_sec - last[0].start_sec >= ENOUGH_SEC):
                last.append(cue)
                continue
        groups.append([cue])
    return groups


def _find_borders(wav: np.ndarray, groups: Sequence[Sequence[Cue]]) -> list[tuple[float, float]]:
    """Return start and end of each group, at the quietest place near the times of its cues."""
    levels = frame_levels_db(wav)
    end_sec = len(wav) / RATE_HZ
    borders = []
    start = 0.0
    for index, group in enumerate(groups):
        own_start, own_end = group[0].start_sec, group[-1].end_sec
        before = groups[index - 1][-1].end_sec if index else -np.inf
        if own_start - before > 2 * TOLERANCE_SEC:
            start = max(0.0, own_start - TOLERANCE_SEC)
        after = groups[index + 1][0].start_sec if index + 1 < len(groups) else np.inf
        if after - own_end > 2 * TOLERANCE_SEC:
            end = min(end_sec, own_end + TOLERANCE_SEC)
        else:
            end = _quietest(levels, own_end - TOLERANCE_SEC, after + TOLERANCE_SEC)
        borders.append((start, max(start, end)))
        start = end
    return borders


def _quietest(levels: np.ndarray, start: float, end: float) -> float:
    frame_sec = HOP / RATE_HZ
    first = min(max(0, round(start / frame_sec)), len(levels) - 1)
    last = min(max(first + 1, round(end / frame_sec)), len(levels))
    # Of equally quiet places the middle one.
    quiet = np.flatnonzero(levels[first:last] <= levels[first:last].min() + 3)
    return (first + int(quiet[len(quiet) // 2])) * frame_sec


def _clip_spans(spans: Sequence[Span], start: float, end: float) -> list[Span]:
    cut = (Span(max(span.start, start), min(span.end, end)) for span in spans)
    return [span for span in cut if span.end > span.start]


def _outside(spans: Sequence[Span], start: float, end: float) -> list[Span]:
    """Return the spans without the part from start to end."""
    parts = [
        part
        for span in spans
        for part in (Span(span.start, min(span.end, start)), Span(max(span.start, end), span.end))
        if part.end > part.start
    ]
    return sorted(set(parts))
