"""Texts of 1 to 100,000 characters: cleaned, split and encoded, or refused in one line, in seconds."""

from __future__ import annotations

import functools
import random
import string
import time
from pathlib import Path

import pytest

from common.errors import InputError
from common.text.any_language.alphabet import Alphabet
from common.text.describe import describe_text
from common.text.english.cleaners import english_cleaners_v2
from common.text.processor import NothingToSay, TextProcessor
from tests.support.fuzzing.bounded import check_message, run_bounded
from tests.support.stress import cases, record

LONGEST = 100_000  # characters
# What the rules of the cleaners look for. Repeated, they show rules that search a text again and again.
UNITS = (
    *(*string.ascii_letters[:8], *"XIVMLD", *string.digits[:4], *string.punctuation, " ", "\n", "\t", "\0", "\x1b"),
    *("\ud800", "\udfff", "£", "€", "¥", "°", "²", "³", "½", "⅓", "×", "÷", "±", "µ", "…", "—", "–", "‘", "’", "“"),
    *("”", "é", "ß", "ﬁ", "你", "д", "ع", "😀", "\u200b", "\u0301", "\u2028", "١", "٣", "Ⅳ", "ﷺ", "㎏", "｛", "｝"),
    *("Dr. ", "St. ", "No. ", "a.m.", "p.m. ", "U.S.", "e.g. ", "etc.", "vs. ", "Jan. ", "May ", "3rd", "2nd-"),
    *("1990s", "'90s ", "12:30", "3:45:07", "$5", "$1.50", "$3m ", "£2bn", "€5k", "¢", "100%", "5km", "10 kg"),
    *("3.5GHz", "10x", "1/2", "12/31/1999", "1999-12-31", "31.12.99", "1,234", "1,234,567", "0.5", ".5", "1e5"),
    *("10^6", "x^2", "2+2=4", "a*b", "-5", "+1 ", "555-1234", "(212) 555-1234", "+44 20 7946 0958", "911"),
    *("ISBN 978-0-", "4111 1111 1111 1111", "123-45-6789", "Room 405", "Route 66", "Henry VIII", "Chapter IV"),
    *("NASA", "SQL", "iPhone", "C++", "F-16", "http://", "https://a.b/c?d=e&f=g#h", "www.a.com", "a@b.co", "/usr/bin"),
    *("C:\\x", "foo_bar", "fooBar", "#tag", "@me", "{HH AH0}", "{HH", "{}", "{a b}", "{HH XX}", "((", "))", "--"),
    *("...", "&amp;", "<b>", "</b>", "'s", "n't", "o'clock", "MCMXCIX", "1-2", "1990-95", "$1-$2", "pp. 1-5", "§", "™"),
    *("°C", "5'10\"", "40°26′46″N", "H2O", "1:1", "9/11", "24/7", "1.2.3", "v1.2.3", "192.168.0.1", "::1", "0x1F"),
    *("1.000.000", "1 000 000", "the ", "of ", "and ", "half ", "million", "thousand ", "  ", "AM", "BC", "00", "0000"),
    *("9" * 20, "1" * 400, "7" * 5000, "A" * 30, "a" * 300, "a." * 5, "(1)", "12(b)(6)", "mph", "km/h", "m/s²"),
    *("sq ft", "fl oz", "lb", "oz.", "in.", "q.v.", "/ ", "% ", "& ", "= ", "( ", "[ ", ", ", ". ", "! ", "- "),
)
ALPHABET = Alphabet(
    {"symbols": "abcdefghijklmnopqrstuvwxyz.,{", "replace": {"z. B.": "zum Beispiel", "&": "und" * 300}}
)


@functools.lru_cache(maxsize=1)
def processors() -> list[TextProcessor]:
    return [
        TextProcessor(),
        TextProcessor(p_arpabet=0.0),
        TextProcessor(cleaners="english_cleaners", p_arpabet=0.5, seed=1),
        TextProcessor(cleaners=["transliteration_cleaners"], p_arpabet=0.0),
        TextProcessor(pronunciations={"SQL": "S IY1 K W AH0 L", "C": "S IY1"}),
        TextProcessor("own", "basic_cleaners", p_arpabet=0.0, alphabet=ALPHABET),
    ]


def make_text(rng: random.Random) -> str:
    """Return a text of 1 to 100,000 characters: a few units again and again, many of them, or any characters."""
    size = int(10 ** rng.uniform(0, 5 if rng.random() < 0.02 else 2.7))
    kind = rng.randrange(6)
    if kind < 3:
        unit = "".join(rng.choice(UNITS) for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 6))))
        text = unit * (size // len(unit) + 1)
    elif kind < 5:
        few = rng.sample(UNITS, 5) if kind == 3 else UNITS
        text = "".join(rng.choice(few) for _ in range(size // 2 + 1))
    else:
        text = "".join(chr(rng.randrange(0x110000)) for _ in range(size))
    ends = [rng.choice(UNITS) if rng.random() < 0.4 else "" for _ in range(2)]
    return ends[0] + text[:size] + ends[1]


def read_one(number: int) -> str:
    """Split a text into pieces and encode them, as synthesis does, or encode it whole, as training does."""
    rng = random.Random(number)
    text, processor = make_text(rng), rng.choice(processors())
    taken = 0
    pieces = processor.split(text, rng.choice((1, 30, 250, LONGEST))) if rng.random() < 0.8 else [text]
    for piece in pieces[:2000]:
        try:
            ids = processor.encode(piece)
        except InputError as error:
            check_message(str(error))
            continue
        taken += processor.has_sound(ids)
        processor.decode(ids)
    return "taken" if taken else "refused"


@pytest.mark.medium
@pytest.mark.timeout(14_400)
def test_texts(tmp_path: Path) -> None:
    processors()
    count = cases(120, 20_000)
    found = run_bounded(read_one, count, tmp_path)
    found.check()
    assert min(found.outcomes["taken"], found.outcomes["refused"]) > 0
    record("Texts of 1 to 100,000 characters are read or refused in one line", count, found.describe())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{a {b} c}", "a b c"),  # inner braces went, and the outer ones were taken for phonemes: KeyError
        ("{a {b {c {d} e} f} g}", "a b c d e f g"),
        ("{a {HH AH0} b}", "{a {HH AH0} b}"),
        ("｛a b｝", "a b"),  # transliterated to braces
    ],
)
def test_braces_within_braces(text: str, words: str) -> None:
    processor = TextProcessor()
    assert processor.clean(text) == words
    assert processor.encode(text)


@pytest.mark.parametrize("unit", ["/ ", "% ", "& ", "@ ", "# ", "| ", "= "])
def test_signs_that_become_spaces(unit: str) -> None:
    """Twice the text takes about twice the time: patterns searched runs of spaces again from each space."""
    english_cleaners_v2(unit * 50_000)


@pytest.mark.parametrize("mark", [";", ".", "!?", ",)"])
def test_runs_of_marks_are_split_in_seconds(mark: str) -> None:
    """Each mark of a run was searched to the end of the run: 5.5 s for 20,000 semicolons, minutes for 100,000."""
    text = (mark * LONGEST)[:LONGEST]
    start = time.process_time()
    assert "".join(processors()[1].split(text, 250)) == text
    assert time.process_time() - start < 5


def test_control_characters_are_shown_as_escapes() -> None:
    """A text file must not move the cursor of the terminal that --show-text prints to."""
    lines = describe_text(TextProcessor(p_arpabet=0.0), "a\x1b[2Jb")
    assert all(line.isprintable() for line in lines)


def test_nothing_to_say() -> None:
    with pytest.raises(NothingToSay) as caught:
        TextProcessor(p_arpabet=0.0).encode("\0\x1b\u200b" * 30_000)
    check_message(str(caught.value))
