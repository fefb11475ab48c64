"""How sentences are read, by kind: sentences that users reported, and sentences written to be tricky."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from common.text import TextProcessor
from common.text.english.cleaners import STEPS

PROCESSOR = TextProcessor(p_arpabet=0)
TABLES = Path(__file__).with_name("readings")

# Reported sentences whose reading differs from the proposed one on purpose: sentence -> (reading, reason).
DIFFERENT = {
    "2024-03-15T10:30:00Z is a stamp.": (
        "march fifteenth, twenty twenty four, at ten thirty u.t.c. is a stamp.",
        "the report proposes none",
    ),
    "Restaurants from $ to $$$.": ("restaurants from dollar to three dollar signs.", "the report proposes none"),
    "The file v1==v2 check, a!=b.": (
        "the file v one equals v two check, a is not equal to b.",
        "as `y != 0` in another report",
    ),
    "The bill was €1.234,56.": (
        "the bill was one thousand, two hundred and thirty-four euros, fifty-six cents.",
        "the same amount; published models read both units, with a comma and hyphens",
    ),
    "Revenue was $3.50/unit and $20/month.": (
        "revenue was three dollars, fifty cents per unit and twenty dollars per month.",
        "the same amount, as published models read it",
    ),
    "$5 US$ or 5 US$": ("five u.s. dollars or five u.s. dollars", "the report gives one of the two amounts"),
    "Preheat the oven to 180C (350F).": (
        "preheat the oven to one hundred and eighty degrees celsius (three hundred and fifty degrees fahrenheit).",
        "degrees are named both times",
    ),
}


def read_table(name: str) -> list[tuple[str, str, str]]:
    with (TABLES / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[0] == ["kind", "sentence", "reading"]
    return [(kind, sentence, reading) for kind, sentence, reading in rows[1:]]


REPORTED = read_table("reported.tsv")
WRITTEN = read_table("written.tsv")


def spoken(reading: str) -> str:
    """Return the words only: the reports are loose about hyphens and commas, and leave out words as `...`."""
    return re.sub(r"[^a-z.]", "", reading.lower().replace("...", "…").replace(".", "").replace("…", "."))


@pytest.mark.parametrize(("kind", "sentence", "reading"), REPORTED, ids=[row[1] for row in REPORTED])
def test_reported_sentences(kind: str, sentence: str, reading: str) -> None:
    ours = PROCESSOR.clean(sentence)
    pattern = ".*".join(map(re.escape, spoken(reading).split(".")))
    is_as_reported = reading != "..." and re.fullmatch(pattern, spoken(ours)) is not None
    if sentence in DIFFERENT:
        assert ours == DIFFERENT[sentence][0]
        assert not is_as_reported, f"remove it from DIFFERENT: {DIFFERENT[sentence][1]}"
    else:
        assert is_as_reported, ours


@pytest.mark.parametrize(("kind", "sentence", "reading"), WRITTEN, ids=[row[1] for row in WRITTEN])
def test_written_sentences(kind: str, sentence: str, reading: str) -> None:
    assert PROCESSOR.clean(sentence) == reading


def test_differences_are_few() -> None:
    assert set(DIFFERENT) <= {sentence for _, sentence, _ in REPORTED}
    assert len(DIFFERENT) / len(REPORTED) < 0.08


SENTENCES = [sentence for _, sentence, _ in REPORTED + WRITTEN]


def test_a_cleaned_sentence_stays_as_it_is() -> None:
    changed = {s: PROCESSOR.clean(once) for s in SENTENCES if PROCESSOR.clean(once := PROCESSOR.clean(s)) != once}
    assert not changed


@pytest.mark.parametrize("step", STEPS, ids=[step.__name__ for step in STEPS])
def test_each_step_is_idempotent(step) -> None:
    before = STEPS[: STEPS.index(step)]
    changed = {}
    for sentence in SENTENCES:
        text = sentence
        for earlier in before:
            text = earlier(text)
        once = step(text)
        if step(once) != once:
            changed[sentence] = (once, step(once))
    assert not changed
