"""Cut spans of speech into pieces of 1 to 12 seconds, at pauses.

The cuts are those with the least cost in total, by dynamic programming: a cut in a short pause costs more than one in a
long pause, and a piece costs more the further its length is from the preferred one. All speech is in a piece.

Shapes: T samples, F frames of energy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from voice.recordings.audio.reading import RATE_HZ
from voice.recordings.audio.speech_activity import HOP, Span, frame_levels_db
from voice.recordings.segment import MAX_SEC, MIN_SEC

MARGIN_SEC = 0.1  # of the recording's own silence at both ends of a piece
PREFERRED_SEC = (2.5, 8.0)  # length of a piece without cost
SURE_PAUSE_SEC = 0.5  # a cut in a pause of this length costs nothing
LONGEST_PAUSE_SEC = 1.0  # inside a piece, unless the piece would be too short without
NEAR_SEC = 2.0  # the longest pause inside a piece that would be too short
CUT_COST = 4.0  # of a cut in no pause; a piece of 12 or 1 s costs 1
TOO_SHORT_COST = 20.0
QUIET_SEC = 0.1  # length of the place at which speech without pauses is cut
FADE_SEC = 0.01  # at both ends of a clip
NO_PAUSE = "cut without a pause"
SHORT = f"shorter than {MIN_SEC:g} s"


@dataclasses.dataclass(frozen=True)
class SpeechPiece:
    """A part of a recording that becomes a clip, with its margins, in seconds."""

    start: float
    end: float
    remarks: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return self.end - self.start


def cut_at_pauses(wav: np.ndarray, spans: Sequence[Span]) -> list[SpeechPiece]:
    """Cut the speech in [T] at 22050 Hz into pieces.

    Args:
        wav: the recording.
        spans: its speech, in order and without overlap.

    Returns:
        The pieces, in order. Pieces shorter than 1 s, or cut where there is no pause, have a remark.
    """
    parts, forced = split_long(wav, spans)
    groups = _group(parts)
    pieces = []
    for first, last in groups:
        remarks = [NO_PAUSE] if parts[first].start in forced or parts[last].end in forced else []
        before = parts[first - 1].end if first else 0.0
        after = parts[last + 1].start if last + 1 < len(parts) else len(wav) / RATE_HZ
        pieces.append(add_margins(Span(parts[first].start, parts[last].end), before, after, remarks))
    return pieces


def whole_piece(wav: np.ndarray, spans: Sequence[Span]) -> SpeechPiece:
    """Return all speech of [T] as one piece."""
    return add_margins(Span(spans[0].start, spans[-1].end), 0.0, len(wav) / RATE_HZ)


def add_margins(span: Span, before: float, after: float, remarks: Sequence[str] = ()) -> SpeechPiece:
    """Add the silence around speech, which reaches at most to the middle of the pause.

    Args:
        span: the speech.
        before: end of the speech before it, or 0.
        after: start of the speech after it, or the end of the recording.
        remarks: of the piece.
    """
    before_margin = min(MARGIN_SEC, (span.start - before) / (2 if before > 0 else 1))
    after_margin = min(MARGIN_SEC, (after - span.end) / 2) if after - span.end < 2 * MARGIN_SEC else MARGIN_SEC
    piece = SpeechPiece(max(0.0, span.start - before_margin), span.end + after_margin, tuple(remarks))
    return piece if piece.seconds >= MIN_SEC else dataclasses.replace(piece, remarks=(*piece.remarks, SHORT))


def split_long(wav: np.ndarray, spans: Sequence[Span]) -> tuple[list[Span], set[float]]:
    """Split spans that are too long for a piece at their quietest places.

    Returns:
        The spans, and the times of the new cuts.
    """
    longest = MAX_SEC - 2 * MARGIN_SEC
    if all(span.end - span.start <= longest for span in spans):
        return list(spans), set()
    levels = frame_levels_db(wav)
    width = round(QUIET_SEC * RATE_HZ / HOP)
    levels = np.convolve(levels, np.ones(width) / width, "same")
    parts: list[Span] = []
    cuts: set[float] = set()
    waiting = list(reversed(spans))
    while waiting:
        span = waiting.pop()
        if span.end - span.start <= longest:
            parts.append(span)
            continue
        cut = _quietest(levels, span, longest)
        cuts.add(cut)
        waiting += [Span(cut, span.end), Span(span.start, cut)]
    return parts, cuts


def _quietest(levels: np.ndarray, span: Span, longest: float) -> float:
    """Return the quietest time at which a first part of a fitting length ends."""
    frame_sec = HOP / RATE_HZ
    latest = min(span.start + longest, span.end - MIN_SEC)
    first, last = round((span.start + 2 * MIN_SEC) / frame_sec), round(latest / frame_sec)
    return (first + int(levels[first:last].argmin())) * frame_sec


def _group(parts: Sequence[Span]) -> list[tuple[int, int]]:
    """Return the first and the last span of each piece, such that the sum of all costs is the smallest."""
    best = [0.0] + [float("inf")] * len(parts)  # by number of spans that are in pieces
    start_of = [0] * (len(parts) + 1)
    for last in range(len(parts)):
        longest_pause = 0.0
        for first in range(last, -1, -1):
            seconds = parts[last].end - parts[first].start + 2 * MARGIN_SEC
            if first < last and seconds > MAX_SEC:
                break
            if first < last:
                longest_pause = max(longest_pause, parts[first + 1].start - parts[first].end)
            cost = best[first] + _piece_cost(seconds, longest_pause)
            if first:
                cost += _cut_cost(parts[first].start - parts[first - 1].end)
            if cost < best[last + 1]:
                best[last + 1], start_of[last + 1] = cost, first
    groups = []
    end = len(parts)
    while end:
        groups.append((start_of[end], end - 1))
        end = start_of[end]
    return groups[::-1]


def _cut_cost(pause: float) -> float:
    return CUT_COST * max(0.0, 1 - pause / SURE_PAUSE_SEC) ** 2


def _piece_cost(seconds: float, longest_pause: float) -> float:
    low, high = PREFERRED_SEC
    cost = max(0.0, (seconds - high) / (MAX_SEC - high), (low - seconds) / (low - MIN_SEC)) ** 2
    if seconds < MIN_SEC:
        cost += TOO_SHORT_COST
    if longest_pause > LONGEST_PAUSE_SEC:  # worth it only to complete a piece that is too short
        cost += TOO_SHORT_COST / 2 if longest_pause <= NEAR_SEC else 3 * TOO_SHORT_COST
    return cost


def extract(wav: np.ndarray, piece: SpeechPiece, gain: float) -> np.ndarray:
    """Return the samples of a piece of [T], with a gain, faded in and out over 10 ms."""
    clip = wav[round(piece.start * RATE_HZ) : round(piece.end * RATE_HZ)] * np.float32(gain)
    length = min(round(FADE_SEC * RATE_HZ), len(clip) // 2)
    ramp = np.sin(np.linspace(0, np.pi / 2, length, dtype=np.float32)) ** 2
    clip[:length] *= ramp
    clip[len(clip) - length :] *= ramp[::-1]
    return clip
