"""Alphabets of the user's own."""

from pathlib import Path

import pytest

from common.errors import InputError
from common.text.any_language.alphabet import Alphabet, read_alphabet
from common.text.processor import NothingToSay
from common.text.settings import TextConfig
from tests.support.paths import written

GERMAN = (
    '{"symbols": "aäbcdefghijklmnoöpqrsßtuüvwxyz,.", "replace": {"z. B.": "zum Beispiel", "z.": "zu", "&": " und "}}'
)


def test_german(tmp_path: Path) -> None:
    """`schon` and `schön` stay apart, with composed and decomposed letters, and after a checkpoint."""
    config = TextConfig(symbol_set=str(written(tmp_path / "german.json", GERMAN)))
    assert (config.symbol_set, config.text_cleaners, config.p_arpabet) == ("german", ("basic_cleaners",), 0.0)
    assert config.symbols()[:4] == ["_", " ", "a", "ä"]
    stored = {
        "symbol_set": "german",
        "text_cleaners": ["basic_cleaners"],
        "p_arpabet": 0.0,
        "alphabet": config.alphabet,
    }
    for processor in (config.processor(), TextConfig.from_setup(stored).processor()):
        for text, read in (
            ("Schön, schon", "schön, schon"),
            ("Scho\u0308n & süß", "schön und süß"),
            ("Z.  B., z. B. {so}", "z. b., zum beispiel so"),
        ):
            assert processor.decode(processor.encode(text)) == read
        with pytest.raises(NothingToSay):
            processor.encode("12 _")
        assert processor.split("Eins. Zwei. Drei.", 10) == ["Eins.", "Zwei.", "Drei."]


def test_skipped_characters_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    processor = TextConfig(symbol_set=str(written(tmp_path / "german.json", GERMAN))).processor()
    with processor.count_skipped() as skipped:
        for text in ("Café 12", "naïve Cafés", "gut"):
            processor.encode(text)
    assert skipped.describe(3) == (
        "5 characters in 2 of 3 texts have no symbol in german and are skipped: 'é' 2, '1' 1, '2' 1, 'ï' 1"
    )
    processor.encode("Café")
    assert not caplog.messages, "named already"
    with processor.count_skipped() as skipped:
        processor.encode("gut")
    assert skipped.describe(1) == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "an alphabet is"),
        ('{"symbols": "ab", "cleaners": []}', "an alphabet is"),
        ('{"replace": {}}', '"symbols": is not a text'),
        ('{"symbols": " _"}', "has 0 characters"),
        ('{"symbols": "aba"}', "'a' is there twice"),
        ('{"symbols": "u\\u0308ü"}', "'ü' is there twice"),
        ('{"symbols": "a", "replace": {"": "b"}}', '"replace": does not map'),
        ('{"symbols": "a", "replace": {"b": 1}}', '"replace": does not map'),
        ("{", "not a JSON file"),
    ],
)
def test_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"a\.json: .*{message}"):
        read_alphabet(written(tmp_path / "a.json", content))


def test_missing_file() -> None:
    with pytest.raises(FileNotFoundError):
        TextConfig(symbol_set="absent.json")


def test_order_of_replacements() -> None:
    assert Alphabet({"symbols": "a", "replace": {"a": "b", "ab": "c"}}).prepare("aab") == "bc"
