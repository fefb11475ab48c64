"""Confidence, and the marks of texts that nobody said."""

import math

import pytest

from common.recognition.whisper import Heard
from voice.recordings.texts.judgement import (
    LOW_CONFIDENCE,
    MAY_BE_INVENTED,
    NO_WORDS,
    REPEATS,
    confidence,
    find_faults,
)


def test_confidence_is_the_mean_probability_of_tokens():
    assert confidence(Heard("Yes.", log_probability=math.log(0.8))) == 0.8
    assert confidence(Heard("", log_probability=0.0)) == 0


@pytest.mark.parametrize(
    ("text", "seconds", "faults"),
    [
        ("This is what was said.", 1.5, ()),
        ("...", 1.5, (NO_WORDS,)),
        ("", 1.5, (NO_WORDS,)),
        ("Thank you.", 8.0, (MAY_BE_INVENTED,)),
        ("This is far too much to be said in half of a second.", 0.5, (MAY_BE_INVENTED,)),
        ("and so on and so on and so on and so on", 3.0, (REPEATS,)),
        ("Row, row, row your boat, gently down the stream.", 3.0, ()),
    ],
)
def test_faults(text, seconds, faults):
    assert find_faults(Heard(text, log_probability=-0.1, compression=1.2), text, seconds) == faults


def test_faults_that_the_recogniser_reports():
    text = "This is what was said."
    assert find_faults(Heard(text, log_probability=-0.1, compression=3.0), text, 2.0) == (REPEATS,)
    assert find_faults(Heard(text, log_probability=-0.9), text, 2.0) == (LOW_CONFIDENCE,)
