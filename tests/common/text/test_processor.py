"""TextProcessor: encoding, pronunciations, notation, warnings, bad input, and any text whatever."""

from __future__ import annotations

import itertools
import logging
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.text import TextProcessor
from common.text.languages import SYMBOL_SETS
from tests.support.paths import PARITY, REPOSITORY

DICTIONARY = PARITY / "cmudict_of_text"
LETTERS = TextProcessor(p_arpabet=0)
PHONEMES = TextProcessor(cmudict_path=DICTIONARY)
TEXT = "The print arrived in the laboratory on November the fifth, and they went to the door of the office."


def test_letters_and_phonemes() -> None:
    assert LETTERS.decode(LETTERS.encode("Dr. Fox,  at 5!")) == "doctor fox, at five!"
    ids = PHONEMES.encode("The print arrived.")
    assert PHONEMES.decode(ids) == "the {P R IH1 N T} {ER0 AY1 V D}."
    assert [PHONEMES.symbols[i] for i in ids[4:9]] == ["@P", "@R", "@IH1", "@N", "@T"]
    assert PHONEMES.decode([0, *ids, 0, 0]) == PHONEMES.decode(ids)


@pytest.mark.parametrize("processor", [LETTERS, PHONEMES])
def test_notation_is_always_phonemes(processor: TextProcessor) -> None:
    ids = processor.encode("{HH AH0 L OW1},  {W  ER1 L D}s")
    assert processor.decode(ids) == "{HH AH0 L OW1}, {W ER1 L D}s"


def test_text_in_braces_is_read_as_text() -> None:
    assert LETTERS.decode(LETTERS.encode("The set {a, b} is f{ x }y { }{HH AH0}.")) == "the set a, b is f x y {HH AH0}."
    assert LETTERS.split("It {was a long} day", 6) == ["It was", "a long", "day"]
    assert LETTERS.split("It {HH AH0 L OW1} day", 6) == ["It", "{HH AH0 L OW1}", "day"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Say {HH AX L}.", r"'\{HH AX L\}' has the unknown phonemes 'AX'"),
        ("{ } {}", "nothing can be spoken"),
        ("", "nothing can be spoken of the text ''"),
        (" \n\t", "nothing can be spoken"),
        ('"""', "no symbol is left"),
        ("😀" * 100, r"\.\.\.'"),
    ],
)
def test_bad_text(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        LETTERS.encode(text)
    assert "\n" not in str(caught.value)


def test_bad_settings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown symbol set 'german'; choose among english_basic, "):
        TextProcessor(symbol_set="german", p_arpabet=0)
    with pytest.raises(InputError, match="unknown text cleaner 'none'"):
        TextProcessor(cleaners=["none"], p_arpabet=0)
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="p_arpabet must lie between 0 and 1"):
            TextProcessor(p_arpabet=p)
    with pytest.raises(InputError, match=r"absent: no such pronouncing dictionary; to get one: bash scripts/"):
        TextProcessor(cmudict_path=tmp_path / "absent")
    with pytest.raises(InputError, match="absent: no such list of heteronyms"):
        TextProcessor(cmudict_path=DICTIONARY, heteronyms_path=tmp_path / "absent")
    (tmp_path / "html").write_text("<html> <body>\n")
    with pytest.raises(InputError, match="html: line 1 is not an entry"):
        TextProcessor(cmudict_path=tmp_path / "html")
    (tmp_path / "empty").write_text(";;; nothing\n")
    with pytest.raises(InputError, match="empty: the pronouncing dictionary has no entries"):
        TextProcessor(cmudict_path=tmp_path / "empty")
    for i in (-1, 148):
        with pytest.raises(InputError, match=f"{i} is not a symbol id of english_basic, which has 0 to 147"):
            LETTERS.decode([1, i])


def test_unknown_characters_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    processor = TextProcessor(p_arpabet=0)
    assert processor.decode(processor.encode('He said "yes 😀 now" {')) == "he said yes now"
    assert processor.encode('"Yes" 😀') == processor.encode("yes")
    assert len(caplog.records) == 1
    message = caplog.text
    for name in ("'\"' (U+0022)", "'😀' (U+1F600)", "'{' (U+007B)", "english_basic"):
        assert name in message
    processor.encode("☃ a")
    assert len(caplog.records) == 2
    assert "'☃'" in caplog.records[1].message
    assert "U+0022" not in caplog.records[1].message


def test_the_padding_symbol_is_no_character() -> None:
    processor = TextProcessor(cleaners="basic_cleaners", p_arpabet=0)
    assert processor.padding_id not in processor.encode("a_b")


def test_symbol_sets(caplog: pytest.LogCaptureFixture) -> None:
    assert {name: len(symbols) for name, symbols in SYMBOL_SETS.items()} == {
        "english_basic": 148,
        "english_basic_lowercase": 123,
        "english_expanded": 175,
    }
    for name, symbols in SYMBOL_SETS.items():
        assert len(set(symbols)) == len(symbols)
        processor = TextProcessor(name, cleaners=[], p_arpabet=0)
        assert processor.symbols[processor.padding_id] == "_"
        kept = processor.decode(processor.encode('Ah, "ñ" 5% {AH0}'))
        expected = {"english_basic": "Ah, {AH0}", "english_basic_lowercase": 'ah, "" {AH0}'}
        assert kept == expected.get(name, 'Ah, "ñ" % {AH0}')


def test_several_cleaners_in_order() -> None:
    processor = TextProcessor(cleaners=["transliteration_cleaners", "basic_cleaners"], p_arpabet=0)
    assert processor.clean("  Ünï  Co. ") == "uni co."


def test_probability_of_pronunciations() -> None:
    everything, nothing = PHONEMES.encode(TEXT), LETTERS.encode(TEXT)
    half = TextProcessor(p_arpabet=0.5, cmudict_path=DICTIONARY, seed=1)
    again = TextProcessor(p_arpabet=0.5, cmudict_path=DICTIONARY, seed=1)
    drawn = [half.encode(TEXT) for _ in range(50)]
    assert drawn == [again.encode(TEXT) for _ in range(50)]
    assert len({tuple(ids) for ids in drawn}) > 10
    assert half.encode(TEXT, random.Random(7)) == half.encode(TEXT, random.Random(7))
    phonemes = [sum(i >= 64 for i in ids) for ids in [everything, *drawn]]
    assert not any(i >= 64 for i in nothing)
    assert 0.4 < sum(phonemes[1:]) / 50 / phonemes[0] < 0.6
    assert PHONEMES.encode(TEXT) == everything


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.one_of(st.characters(codec=None), st.sampled_from("0123456789.,:-/$£%'{}() aAIVXsxB@&#\n")), max_size=60)
)
@example("\ud800 a")
@example("{}")
@example("1.5.5,000st's $,. £.5k 5:5 1/0 0/0 ²³ ½½ ٣٤ ⅫⅩ")
def test_any_text_encodes_or_is_refused(text: str) -> None:
    for processor in (LETTERS, PHONEMES):
        try:
            ids = processor.encode(text)
        except InputError:
            continue
        assert ids
        assert all(0 < i < len(processor.symbols) for i in ids)
        space = processor.symbols.index(" ")
        assert space not in (ids[0], ids[-1])
        assert (space, space) not in set(itertools.pairwise(ids))


@settings(max_examples=200, deadline=None)
@given(st.text("abcdefghij ,.;:!?'-()", min_size=1, max_size=60).filter(lambda text: text.strip()))
def test_plain_text_comes_back(text: str) -> None:
    processor = TextProcessor(cleaners="basic_cleaners", p_arpabet=0)
    assert processor.decode(processor.encode(text)) == " ".join(text.split())


@pytest.mark.parametrize(
    "text",
    [
        TEXT * 300,
        "1" * 50_000,
        "A " * 25_000,
        " " * 50_000 + "x",
        "1,1." * 12_000,
        "1x1:" * 12_000,
        "a'" * 25_000,
        "é1" * 25_000,
    ],
    ids=["words", "digits", "capitals", "spaces", "points", "mixed", "quotes", "accents"],
)
def test_time_grows_with_length(text: str) -> None:
    """A pattern that looks at each character twice for every other would take minutes."""
    start = time.process_time()
    PHONEMES.encode(text)
    assert time.process_time() - start < 5


@pytest.mark.medium
def test_importing_reads_no_data() -> None:
    code = "import sys, common.text; print([m for m in ('anyascii', 'cmudict', 'torch', 'numpy') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_log_says_nothing_of_good_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    TextProcessor(cmudict_path=DICTIONARY).encode("Mr. Fox's 5 cafés.")
    assert not caplog.records
