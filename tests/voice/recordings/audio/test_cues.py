"""Cues become clips with their own speech, even where their times are wrong by some tenths of a second."""

import numpy as np
import pytest

from voice.recordings.audio.cues import cut_cues, merge_cues
from voice.recordings.audio.reading import RATE_HZ
from voice.recordings.audio.speech_activity import Span
from voice.recordings.segment import Cue


def recording(*spans, seconds=40):
    wav = 1e-4 * np.random.default_rng(0).standard_normal(seconds * RATE_HZ).astype(np.float32)
    for span in spans:
        wav[round(span[0] * RATE_HZ) : round(span[1] * RATE_HZ)] *= 1000
    return wav, [Span(*span) for span in spans]


def test_neighbours_are_joined_to_sentences():
    cues = [
        Cue(0, 2, "One sentence,"),
        Cue(2.1, 4, "in two cues."),
        Cue(4.1, 6, "Another."),
        Cue(6.2, 8, "It is short."),
        Cue(10, 19, "After a gap,"),
        Cue(19, 23, "and too long to join."),
        Cue(24, 25, "  "),
    ]
    texts = [[cue.text for cue in group] for group in merge_cues(cues)]
    assert texts == [
        ["One sentence,", "in two cues."],
        ["Another.", "It is short."],
        ["After a gap,"],
        ["and too long to join."],
    ]


@pytest.mark.parametrize("shift", [-0.25, 0, 0.25])
def test_rough_times(shift):
    wav, spans = recording((1, 5), (5.2, 9.5), (9.65, 14))
    cues = [Cue(a + shift, b + shift, f"Text {a}.") for a, b in ((0.9, 5.1), (5.1, 9.6), (9.6, 14.1))]
    pieces = cut_cues(wav, spans, cues)
    assert [text for _, text in pieces] == ["Text 0.9.", "Text 5.1.", "Text 9.6."]
    for (piece, _), span in zip(pieces, spans, strict=True):
        assert span.start - 0.11 <= piece.start <= span.start
        assert span.end <= piece.end <= span.end + 0.11


def test_other_speech_has_no_text():
    wav, spans = recording((1, 4), (8, 11), (12, 30))
    cues = [Cue(8, 11, "Known\nwords."), Cue(12, 30, "Too long to know where its words are.")]
    pieces = cut_cues(wav, spans, cues)
    assert [text for piece, text in pieces if piece.start < 11.5] == ["", "Known words."]
    rest = [piece for piece, text in pieces if piece.start > 11.5 and not text]
    assert len(rest) >= 2
    assert rest[0].start < 12.1
    assert rest[-1].end > 29.9


def test_cues_without_speech():
    wav, spans = recording((1, 4))
    assert [text for _, text in cut_cues(wav, spans, [Cue(1, 4, "A."), Cue(20, 22, "[music]")])] == ["A."]
