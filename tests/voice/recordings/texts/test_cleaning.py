"""Texts without what nobody says."""

import pytest

from voice.recordings.texts.cleaning import clean_cues, clean_recognised, clean_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" One\r\ntwo\tthree ", "One two three"),
        ("a|b | c", "a b c"),
        ("zero\u200bwidth\ufeff \u202bmark\x07", "zerowidth mark"),
        ("It cost $5 (about 4 euros), he said.", "It cost $5 (about 4 euros), he said."),
        ("narrow\u202fspace\u2028line", "narrow space line"),
    ],
)
def test_one_line(text, expected):
    assert clean_text(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Hello. [Music] Yes (laughs) no.", "Hello. Yes no."),
        ("(soft piano music playing)", ""),
        ("He came (as promised) at 5.", "He came (as promised) at 5."),
        ("\u266a la la \u266a", ""),
        ("[BLANK_AUDIO]", ""),
    ],
)
def test_a_recogniser_names_sounds(text, expected):
    assert clean_recognised(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<i>So</i> it {\\an8}goes.", "So it goes."),
        ("<v Anna>Why?</v> <c.yellow>Well</c> <00:00:01.500>then", "Why? Well then"),
        ("- Yes.\n- No!", "Yes. No!"),
        (">> JOHN: Wait for me.", "Wait for me."),
        ("MRS. O'HARA: Come in.", "Come in."),
        ("[Anna]: Hello [door slams] there.\u00a0", "Hello there."),
        ("(sighs) Fine.", "Fine."),
        ("(indistinct chatter)", ""),
        ("(speaks quietly)", ""),
        ("Tom &amp; Jerry", "Tom & Jerry"),
        ("a < b and b > c", "a < b and b > c"),
        ("Remember: be kind.", "Remember: be kind."),
        ("Meet me at 10:30 a.m.", "Meet me at 10:30 a.m."),
        ("\u266a I sing \u266a", ""),
        ("...", ""),
        ("-5 degrees", "-5 degrees"),
    ],
)
def test_subtitles(text, expected):
    assert clean_cues([text]) == [expected]


def test_names_that_come_again_are_speakers():
    assert clean_cues(["Anna: Yes.", "Anna: No.", "Remember: be kind."]) == ["Yes.", "No.", "Remember: be kind."]
