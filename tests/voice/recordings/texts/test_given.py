"""Subtitles and long texts, divided among the segments of a recording."""

import pytest

from voice.recordings.segment import GIVEN, RECOGNISED, Cue, Segment, Transcript
from voice.recordings.texts.given import DIFFERS, NOT_IN_TEXT, TEXT_MISSING, align_text, take_fitting

SEGMENTS = [Segment("a", "r.mp3", 1.0, 4.0), Segment("b", "r.mp3", 5.0, 9.0)]


def texts(*cues):
    found, complete = take_fitting(SEGMENTS, Transcript("", tuple(Cue(*cue) for cue in cues)))
    assert complete == all(segment.text for segment in found)
    assert all((segment.source == GIVEN) == bool(segment.text) for segment in found)
    return [segment.text for segment in found]


def test_cues_that_fit():
    assert texts((0.8, 2.5, "One,"), (2.5, 4.6, "two."), (4.95, 9.5, "Three.")) == ["One, two.", "Three."]


@pytest.mark.parametrize(
    "cues",
    [
        [(0.8, 4.0, "One."), (4.9, 6.0, "Two.")],  # the second segment speaks longer than its cue
        [(0.8, 4.0, "One.")],
        [(0.8, 4.0, "One."), (9.0, 12.0, "Late.")],
    ],
)
def test_segments_without_cues_have_no_text(cues):
    assert texts(*cues) == ["One.", ""]


def test_a_cue_over_two_segments():
    assert texts((0.8, 6.0, "One and"), (6.0, 9.0, "two.")) == ["", ""]


def test_the_only_segment_has_the_whole_text():
    found, complete = take_fitting(SEGMENTS[:1], Transcript("All of it."))
    assert (found[0].text, found[0].source, complete) == ("All of it.", GIVEN, True)
    assert take_fitting(SEGMENTS, Transcript("All of it.")) == (SEGMENTS, False)


def test_a_long_text(caplog):
    pytest.importorskip("rapidfuzz")
    heard = ["it was a quiet evening", "", "can you hear me well", "the street was so very empty", "and so on"]
    segments = [
        Segment(str(i), "r.mp3", 5.0 * i, 5.0 * i + 3, "", text, RECOGNISED, 0.7, remarks=("low confidence",))
        for i, text in enumerate(heard)
    ]
    text = "It was a quiet evening. The dogs barked at all of us. The streets were empty. And so on!"
    found = align_text("r.mp3", segments[::-1], text)
    assert [segment.text for segment in found] == [
        *("It was a quiet evening.", "", "can you hear me well", "The streets were empty.", "And so on!")
    ]
    assert [segment.source for segment in found] == [GIVEN, RECOGNISED, RECOGNISED, GIVEN, GIVEN]
    assert found[0].confidence == found[4].confidence == 1
    assert found[4].remarks == ()
    assert found[2].remarks[:2] == ("low confidence", NOT_IN_TEXT)
    assert found[3].remarks == (DIFFERS, TEXT_MISSING)
    assert found[3].confidence == pytest.approx(1 - 6 / 23, abs=0.01)
    assert "r.mp3: 7 words of its text were not heard: The dogs barked at all of us." in caplog.text
