"""Subtitles and long texts, divided among the segments of a recording."""

import dataclasses

import pytest

from voice.recordings.segment import GIVEN, RECOGNISED, Cue, Segment, Transcript
from voice.recordings.texts.given import DIFFERS, NOT_IN_TEXT, TEXT_MISSING, align_text, find_rest, take_fitting

SEGMENTS = [Segment("a", "r.mp3", 1.0, 4.0), Segment("b", "r.mp3", 5.0, 9.0)]


def texts(*cues):
    found = take_fitting(SEGMENTS, Transcript("", tuple(Cue(*cue) for cue in cues)))
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
    (found,) = take_fitting(SEGMENTS[:1], Transcript("All of it."))
    assert (found.text, found.source) == ("All of it.", GIVEN)
    assert take_fitting(SEGMENTS, Transcript("All of it.")) == SEGMENTS


def test_what_is_left_for_the_recogniser():
    done = dataclasses.replace(SEGMENTS[0], text="One.")
    assert find_rest([done, SEGMENTS[1]], Transcript("All of it.")) == ([done, SEGMENTS[1]], "All of it.")
    assert find_rest([done], Transcript("All of it.")) == ([], "")
    cues = (Cue(1.0, 4.0, "One."), Cue(5.0, 7.0, "Two"), Cue(7.0, 20.0, "and more."))
    assert find_rest([done, SEGMENTS[1]], Transcript("", cues)) == ([SEGMENTS[1]], "Two and more.")
    assert find_rest([done, SEGMENTS[1]], Transcript("", cues[:1])) == ([SEGMENTS[1]], "")


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
