"""Any script in ASCII letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.text.any_language.transliteration import to_ascii


@pytest.mark.parametrize(
    ("text", "ascii_text"),
    [
        ("Ünï Straße œuvre", "Uni Strasse oeuvre"),
        ("“a” ‘b’ ‐ – ʼ", "\"a\" 'b' - - '"),
        ("2½ cups, № 5", "2 1/2 cups, No.  5"),
        ("Москва", "Moskva"),
        ("a\u00adb\u200dc", "abc"),
        ("£ 🙂", "£ 🙂"),
        ("a\x00b\tc", "a b c"),
    ],
)
def test_to_ascii(text: str, ascii_text: str) -> None:
    assert to_ascii(text) == ascii_text


@given(st.text(st.characters(categories=["L", "N"]), max_size=40))
def test_plain_text_stays_as_it_is(text: str) -> None:
    once = to_ascii(text)
    assert to_ascii(once) == once
