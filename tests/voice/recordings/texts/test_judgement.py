"""Confidence, and the marks of texts that nobody said."""

import math

import pytest

from common.recognition.whisper import Heard, HeardWord
from voice.recordings.texts.judgement import (
    LOW_CONFIDENCE,
    MAY_BE_INVENTED,
    NO_WORDS,
    NOT_UNDERSTOOD,
    REPEATS,
    confidence,
    cut_invented_end,
    find_faults,
)


def words(*probabilities):
    return tuple(HeardWord("a", float(i), i + 0.5, value) for i, value in enumerate(probabilities))


def test_the_least_sure_words_decide():
    assert confidence(Heard("a a a a a", words(0.9, 0.5, 0.99, 0.4, 0.6))) == 0.5
    assert confidence(Heard("a a", words(0.9, 0.5))) == 0.7
    assert confidence(Heard("Yes.", log_probability=math.log(0.8))) == 0.8, "without words, the tokens decide"
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
    assert find_faults(Heard(text, words(0.1, 0.9, 0.2, 0.2, 0.9)), text, 2.0) == (NOT_UNDERSTOOD,)


def placed(*words):
    """Return what was heard, from (word, start, end)."""
    return Heard(" ".join(word for word, *_ in words), tuple(HeardWord(*word, 0.9) for word in words), compression=9.0)


def test_an_invented_end_is_cut():
    """Times of a real case: the speech ended at 1.76 seconds."""
    real = [("It's", 0.0, 0.32), ("so.", 0.32, 1.76), ("Thank", 1.76, 1.76), ("you", 1.76, 1.76), ("much.", 1.76, 1.86)]
    found = cut_invented_end(placed(*real))
    assert (found.text, len(found.words), found.compression) == ("It's so.", 2, 0)
    circle = [("Yes,", 0.0, 0.4), ("he", 0.5, 0.7), *[("he", 0.7, 0.7)] * 50]
    assert cut_invented_end(placed(*circle)).text == "Yes, he"
    uneven = [*circle[:8], ("he", 0.7, 0.75), *circle[8:], ("he", 0.75, 0.9)]
    assert cut_invented_end(placed(*uneven)).text == "Yes, he"


def test_quick_words_stay():
    quick = placed(("Come", 0.0, 0.3), ("to", 0.3, 0.32), ("me", 0.32, 0.5), ("at", 0.5, 0.6))
    assert cut_invented_end(quick) == quick
    assert cut_invented_end(placed(("Oh.", 0.0, 0.1))).text == "Oh."
    assert cut_invented_end(Heard("")) == Heard("")
