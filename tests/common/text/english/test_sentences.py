"""Cutting long texts: where sentences end, what is never cut, and that nothing is lost."""

import pytest

from common.text.english.sentences import split_text

PROSE = (
    "Dr. Fox met J. F. Kennedy in the U.S. Senate at 10 a.m. on Nov. 22. He had read Vol. 2, No. 5 of the report; "
    "\"Is it true?\" he asked Mrs. Smith (who wasn't there). She said no. Then they walked to St. Paul's... and back! "
    "The sun had set. The Smith Co. Ltd. paid $3.50 for it -- {HH AH0 L OW1 W ER1 L D} -- at www.example.com. "
    "{B AY1}. “The end.” So it was."
)


def test_sentences() -> None:
    assert split_text(PROSE, 75) == [
        "Dr. Fox met J. F. Kennedy in the U.S. Senate at 10 a.m. on Nov. 22.",
        'He had read Vol. 2, No. 5 of the report; "Is it true?"',
        "he asked Mrs. Smith (who wasn't there).",
        "She said no. Then they walked to St. Paul's... and back! The sun had set.",
        "The Smith Co. Ltd. paid $3.50 for it -- {HH AH0 L OW1 W ER1 L D} --",
        "at www.example.com.",
        "{B AY1}. “The end.” So it was.",
    ]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Mr. Hall saw it. Dr. Bell did not.", ["Mr. Hall saw it.", "Dr. Bell did not."]),
        ("So I said no. Next came a man.", ["So I said no.", "Next came a man."]),
        ("Read Messrs. Hall, No. 5, p. 3 now.", ["Read Messrs. Hall,", "No. 5, p. 3 now."]),
        (
            'He cried "Stop!" and ran. (He fell.) Up he got.',
            ['He cried "Stop!"', "and ran.", "(He fell.)", "Up he got."],
        ),
        ("Paid 3.50 dollars. 1963 was over?! Yes it was", ["Paid 3.50 dollars.", "1963 was over?!", "Yes it was"]),
        ("Ends here. {B AY1} goes on. {B}. So", ["Ends here.", "{B AY1} goes on.", "{B}. So"]),
        ("wait ... for it, wait … for it", ["wait ... for it,", "wait … for it"]),
    ],
)
def test_ends_of_sentences(text: str, pieces: list[str]) -> None:
    assert split_text(text, 20) == pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("one two, three four, five six", ["one two, three four,", "five six"]),
        ("one; two three four five: six", ["one;", "two three four five:", "six"]),
        ("one two (three four) five six", ["one two (three four)", "five six"]),
        ("one two—three four—five six", ["one two—three four—", "five six"]),
        ("one two - three four - five six", ["one two -", "three four -", "five six"]),
        ("one two three four five six seven", ["one two three four", "five six seven"]),
        ("well-being 1,000,000 or a 12:30 start", ["well-being 1,000,000", "or a 12:30 start"]),
        ("x" * 45, ["x" * 20, "x" * 20, "x" * 5]),
        ("see http://a.b/" + "y" * 30, ["see", "http://a.b/" + "y" * 9, "y" * 20, "y"]),
    ],
)
def test_long_sentences(text: str, pieces: list[str]) -> None:
    assert split_text(text, 20) == pieces


def test_pronunciations_are_never_cut() -> None:
    notation = "{HH AH0 L OW1 W ER1 L D HH AH0 L OW1 W ER1 L D}"
    assert split_text(f"one {notation} two three four", 10) == ["one", notation, "two three", "four"]
    assert split_text(f"{notation}{notation}s", 10) == [notation, notation, "s"]
    assert split_text("a {L OW1}s, b", 9) == ["a", "{L OW1}s,", "b"]


def test_short_and_blank_texts_stay_as_they_are() -> None:
    assert split_text("  Two sentences. \n In one piece.", 250) == ["Two sentences. In one piece."]
    assert split_text(" \n\t", 250) == []


@pytest.mark.parametrize("size", [1, 7, 40, 250, 10**6])
def test_nothing_is_lost_and_nothing_too_long(size: int) -> None:
    text = " ".join([PROSE] * 20)
    pieces = split_text(text, size)
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
    assert all(len(piece) <= size or (piece[0], piece[-1]) == ("{", "}") for piece in pieces)
    if size > 40:
        assert " ".join(pieces) == text
    if 40 < size < 10**6:  # as long as possible: no piece could take in the next one's first sentence
        assert max(map(len, pieces)) > 0.8 * size
