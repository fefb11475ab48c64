"""Word errors of hand-made sentences, and the closed form of the error rate."""

import pytest

from common.recognition.word_errors import compare_words, normalise_words, split_marks

pytest.importorskip("jiwer")
pytest.importorskip("whisper_normalizer")


@pytest.mark.parametrize(
    ("understood", "counts", "marked"),
    [
        ("The cat sat, on the mat!", (0, 0, 0), "the cat sat on the mat"),
        ("the cat on the mat", (0, 1, 0), "the cat [-sat-] on the mat"),
        ("the cat sat on on the mat", (0, 0, 1), None),
        ("the cat sat on the mat the mat", (0, 0, 2), None),
        ("the hat sat on a mat", (2, 0, 0), "the [-cat-]{+hat+} sat on [-the-]{+a+} mat"),
        ("", (0, 6, 0), "[-the cat sat on the mat-]"),
        ("dogs", (1, 5, 0), None),
    ],
)
def test_counts(understood, counts, marked):
    found = compare_words("The cat sat on the mat.", understood)
    assert (found.substitutions, found.deletions, found.insertions) == counts
    assert (found.words, found.errors) == (6, sum(counts))
    assert found.rate == pytest.approx(sum(counts) / 6)
    if marked:
        assert found.marked == marked


def test_marks_can_be_told_from_words():
    marked = compare_words("It is minus 5 to 7 degrees.", "it was minus 6 to degrees outside").marked
    parts = split_marks(marked)
    assert "".join(parts) == marked
    assert parts[1::2] == ["[-is -5-]", "{+was -6+}", "[-7 degrees-]", "{+degrees outside+}"]
    assert not any(mark in part for part in parts[::2] for mark in ("[-", "{+"))


def test_a_repeated_word_and_a_skipped_word_can_be_seen():
    found = compare_words("We will meet again tomorrow.", "we will will again tomorrow")
    assert found.errors == 1  # the fewest errors: one word taken for another
    assert "[-meet-]{+will+}" in found.marked
    assert compare_words("We will meet again.", "we will meet meet again").marked.count("{+meet+}") == 1


def test_spellings_of_the_same_words_are_equal():
    found = compare_words(
        "Mr. Grey paid $20 for twenty-one colours; it's true!", "mister gray paid 20 dollars for 21 colors it is true"
    )
    assert found.errors == 0, found.marked
    assert normalise_words("Hello,  WORLD") == "hello world"


def test_more_errors_than_words():
    assert compare_words("No.", "no no no no").rate == 3


def test_a_text_without_words():
    with pytest.raises(ValueError, match="the text has no words"):
        compare_words("...", "yes")
