"""Stretches of a given text for segments, in constructed cases."""

import pytest

from voice.recordings.texts.alignment import align

pytest.importorskip("rapidfuzz")

TEXT = (
    "It was late. “Where,” she asked, “is the cat?” Nobody knew; the cat had gone out—through the window—at "
    "half past ten. In 1865 there were two wood-cutters in the village. They came home."
)
SEGMENTS = [
    "It was late.",
    "“Where,” she asked, “is the cat?”",
    "Nobody knew;",
    "the cat had gone out—through the window—at half past ten.",
    "In 1865 there were two wood-cutters in the village.",
    "They came home.",
]


def stretches(text, heard):
    return [stretch.text for stretch in align(text, heard).stretches]


def test_the_same_words():
    found = align(TEXT, SEGMENTS)
    assert [stretch.text for stretch in found.stretches] == SEGMENTS
    assert [stretch.agreement for stretch in found.stretches] == [1.0] * 6
    assert found.unheard == ()


def test_other_spellings_at_the_ends():
    heard = [
        "it was laid",
        "wear she asked is the cat",
        "nobody new",
        "the cat had gone out through the window at half passed 10",
        "in eighteen sixty five there were too woodcutters in the village",
        "they came hom",
    ]
    found = align(TEXT, heard)
    assert [stretch.text for stretch in found.stretches] == SEGMENTS
    assert all(0.5 < stretch.agreement < 1 for stretch in found.stretches)


def test_numbers_in_digits_and_in_words():
    text = "It was nineteen sixty-four, or later. One, two. It cost 1,250 dollars in 1865. Ten!"
    heard = [
        "It was 1964,",
        "or later.",
        "1, 2.",
        "It cost twelve hundred fifty dollars",
        "in eighteen sixty five.",
        "10",
    ]
    segments = [
        *("It was nineteen sixty-four,", "or later.", "One, two.", "It cost 1,250 dollars", "in 1865.", "Ten!"),
    ]
    found = align(text, heard)
    assert [stretch.text for stretch in found.stretches] == segments
    assert [stretch.agreement == 1 for stretch in found.stretches] == [True, True, True, False, True, True]


def test_a_segment_of_which_no_word_is_right_gets_its_text():
    heard = [SEGMENTS[0], SEGMENTS[1], "no bodden you", *SEGMENTS[3:]]
    assert stretches(TEXT, heard) == SEGMENTS


def test_a_sentence_that_nobody_spoke():
    found = align(TEXT, [*SEGMENTS[:3], *SEGMENTS[4:]])
    assert [stretch.text for stretch in found.stretches] == [*SEGMENTS[:3], *SEGMENTS[4:]]
    assert found.unheard == (SEGMENTS[3],)
    assert found.stretches[2].unheard_after == found.stretches[3].unheard_before == SEGMENTS[3]


def test_the_beginning_and_the_end_of_the_text_may_be_skipped():
    found = align(TEXT, SEGMENTS[1:5])
    assert [stretch.text for stretch in found.stretches] == [
        f"{SEGMENTS[0]} {SEGMENTS[1]}",
        *SEGMENTS[2:4],
        SEGMENTS[4] + " They came home.",
    ]
    longer = f"A title of four words. {TEXT} This was the very end."
    found = align(longer, SEGMENTS)
    assert [stretch.text for stretch in found.stretches] == SEGMENTS
    assert found.unheard == ("A title of four words.", "This was the very end.")


@pytest.mark.parametrize("place", range(len(SEGMENTS) + 1))
def test_words_that_the_text_does_not_have(place):
    heard = [*SEGMENTS[:place], "sorry I have to drink something first", *SEGMENTS[place:]]
    found = align(TEXT, heard)
    assert [stretch.text for stretch in found.stretches] == [*SEGMENTS[:place], "", *SEGMENTS[place:]]
    assert found.stretches[place].agreement < 0.5


@pytest.mark.parametrize("place", range(len(SEGMENTS)))
def test_a_sentence_that_was_spoken_twice(place):
    heard = [*SEGMENTS[: place + 1], SEGMENTS[place], *SEGMENTS[place + 1 :]]
    found = stretches(TEXT, heard)
    assert "" in found[place : place + 2]
    assert [text for text in found if text] == SEGMENTS


def test_a_false_start():
    heard = [*SEGMENTS[:3], "the cat had gone", *SEGMENTS[3:]]
    assert stretches(TEXT, heard) == [*SEGMENTS[:3], "", *SEGMENTS[3:]]


def test_a_sentence_that_the_text_has_twice():
    text = "Row the boat. Row the boat. Gently down the stream. Row the boat."
    segments = ["Row the boat.", "Row the boat.", "Gently down the stream.", "Row the boat."]
    assert stretches(text, segments) == segments
    assert stretches(text, ["row the boat", "road the boat", "gently down a stream", "the boat"]) == segments


def test_a_long_part_that_nobody_spoke():
    middle = "Here is a passage, which the reader did not care to read at all and so on. " * 8
    found = align(f"{SEGMENTS[0]} {middle}{SEGMENTS[5]}", [SEGMENTS[0], SEGMENTS[5]])
    assert [stretch.text for stretch in found.stretches] == [SEGMENTS[0], SEGMENTS[5]]
    assert found.unheard == (middle.strip(),)


def test_another_text():
    heard = ["Completely different words", "have nothing to do with it"]
    assert all(stretch.agreement < 0.5 for stretch in align(TEXT, heard).stretches)


def test_nothing_heard_or_nothing_given():
    assert stretches("", ["hello"]) == [""]
    assert align(TEXT, []).stretches == ()
    assert stretches("Hello there.", ["", "hello there", ""]) == ["", "Hello there.", ""]
