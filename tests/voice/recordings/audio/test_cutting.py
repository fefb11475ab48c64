"""All speech is in exactly one piece, of a length that training uses, and cuts are in the longest pauses."""

import itertools
import random

import numpy as np
import pytest

from voice.recordings.audio.cutting import MARGIN_SEC, NO_PAUSE, SHORT, SpeechPiece, cut_at_pauses, extract, whole_piece
from voice.recordings.audio.reading import RATE_HZ
from voice.recordings.audio.speech_activity import Span

SILENCE = np.zeros(60 * RATE_HZ, np.float32)


def cut(*spans):
    return [(piece.start, piece.end) for piece in cut_at_pauses(SILENCE, [Span(*span) for span in spans])]


def test_margins():
    assert cut((1, 4)) == [(0.9, pytest.approx(4.1))]
    assert cut((0.05, 4)) == [(0, pytest.approx(4.1))]
    pieces = cut((1, 7), (7.12, 14))  # too long for one piece: the short pause is shared
    assert pieces[0][1] == pieces[1][0] == pytest.approx(7.06)


def test_the_longest_pauses_are_chosen():
    # 16 s with pauses of 0.2 s, and one of 0.4 s
    spans = [(1, 4.8), (5, 7), (7.4, 10), (10.2, 14), (14.2, 17)]
    assert cut(*spans) == [(0.9, pytest.approx(7.1)), (pytest.approx(7.3), pytest.approx(17.1))]


def test_short_pieces_join_a_near_neighbour():
    assert cut((1, 4), (5.5, 6)) == [(0.9, pytest.approx(6.1))]
    (far, alone) = cut_at_pauses(SILENCE, [Span(1, 4), Span(9, 9.5)])
    assert far.remarks == ()
    assert alone.remarks == (SHORT,)


def test_long_pauses_separate():
    assert len(cut((1, 4), (5.5, 8))) == 2
    assert len(cut((1, 2.5), (2.7, 5))) == 1


def test_speech_without_pauses_is_cut_at_the_quietest_place():
    wav = 0.1 * np.random.default_rng(0).standard_normal(30 * RATE_HZ).astype(np.float32)
    quiet = (9.0, 16.0)
    for time in quiet:
        wav[round((time - 0.06) * RATE_HZ) : round((time + 0.06) * RATE_HZ)] *= 0.1
    pieces = cut_at_pauses(wav, [Span(1, 25)])
    assert [piece.start for piece in pieces] == [0.9, *(pytest.approx(time, abs=0.03) for time in quiet)]
    assert [piece.end for piece in pieces[:-1]] == [piece.start for piece in pieces[1:]]
    assert all(piece.remarks == (NO_PAUSE,) for piece in pieces)


def test_nothing_is_lost():
    draw = random.Random(0)
    for _ in range(50):
        time, spans = 0.0, []
        while time < 50:
            start = time + draw.choice([0.1, 0.3, 0.7, 2.5])
            time = start + draw.uniform(0.1, 4)
            spans.append(Span(start, time))
        pieces = cut_at_pauses(SILENCE, spans)
        assert all(any(p.start <= s.start and s.end <= p.end for p in pieces) for s in spans)
        assert all(before.end <= after.start + 1e-9 for before, after in itertools.pairwise(pieces))
        assert all(piece.seconds <= 12 for piece in pieces)
        assert all(piece.seconds >= 1 or SHORT in piece.remarks for piece in pieces)


def test_whole_piece():
    piece = whole_piece(SILENCE, [Span(2, 5), Span(8, 16)])
    assert piece == SpeechPiece(1.9, 16 + MARGIN_SEC)


def test_extract():
    wav = np.full(3 * RATE_HZ, 0.5, np.float32)
    clip = extract(wav, SpeechPiece(1.0, 2.0), 0.5)
    assert len(clip) == RATE_HZ
    assert clip[0] == pytest.approx(0, abs=1e-6)
    assert clip[-1] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(clip[300:-300], 0.25)
    assert (wav == 0.5).all(), "the recording is unchanged"
