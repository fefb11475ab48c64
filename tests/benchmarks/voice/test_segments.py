"""The figures of segments are right for segments whose faults are known."""

import numpy as np
import pytest
import soundfile

from benchmarks.voice.assemble import TrueClip
from benchmarks.voice.segments import compare, describe
from voice.recordings.segment import Segment

RATE = 16000


@pytest.fixture
def data(tmp_path):
    """A clip of three seconds: loud, with a pause from 1.4 to 1.6 s."""
    wav = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE)
    wav[round(1.4 * RATE) : round(1.6 * RATE)] *= 1e-4
    (tmp_path / "wavs").mkdir()
    soundfile.write(tmp_path / "wavs" / "a.wav", wav, RATE)
    return tmp_path


TRUTH = [TrueClip("r.wav", "a", 1.0, 4.0, "Text.")]


def figures(data, *spans):
    segments = [Segment(f"{number}", "r.wav", *span) for number, span in enumerate(spans)]
    return compare(data, TRUTH, segments)


def test_one_segment_with_margins(data):
    found = figures(data, (0.9, 4.1))
    assert (found.speech, found.kept, found.kept_silence) == (140, 140, 20)
    assert (found.cuts, found.cuts_inside_clips, found.cuts_in_speech) == (2, 0, 0)
    assert found.lost == []


def test_a_cut_in_a_pause(data):
    found = figures(data, (0.9, 2.5), (2.5, 4.1))
    assert (found.cuts, found.cuts_inside_clips, found.cuts_in_speech) == (3, 1, 0)


def test_lost_speech_and_a_cut_in_it(data):
    found = figures(data, (0.9, 2.0))
    assert (found.speech, found.kept) == (140, 50)
    assert (found.cuts_inside_clips, found.cuts_in_speech) == (1, 1)
    assert found.lost == [(pytest.approx(1.8), "a")]
    text = "\n".join(describe(found))
    assert "| share of it in segments | 35.714% |" in text
    assert "Largest losses: a 1.80 s" in text
