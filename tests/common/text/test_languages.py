"""The registry of languages, and that one entry is all that a language needs."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from common.errors import InputError
from common.text import TextProcessor, languages
from common.text.any_language.notation import PAD
from common.text.languages import Language, find_cleaners


def test_unknown_cleaner() -> None:
    with pytest.raises(InputError, match="unknown text cleaner 'english'; choose among basic_cleaners"):
        find_cleaners(["basic_cleaners", "english"])


class OneWord:
    edition = ""

    def why_letters(self, word: str) -> str:
        return "unknown"

    def extend(self, words: Mapping[str, str]) -> None:
        pass

    def lookup(self, word: str) -> str | None:
        return {"да": "D A"}.get(word)


def test_a_language_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    russian = Language(
        code="ru",
        symbol_sets={"russian_basic": (PAD, *" -абвд", "@D", "@A")},
        cleaners={},
        word=re.compile(r"[а-я]+"),
        parse_phonemes=str.split,
        open_dictionary=lambda dictionary, heteronyms: OneWord(),
        split_text=lambda text, max_characters: text.split("; "),
    )
    monkeypatch.setattr(languages, "LANGUAGES", (*languages.LANGUAGES, russian))
    processor = TextProcessor("russian_basic", "basic_cleaners")
    assert processor.decode(processor.encode("Да, вада {A D}-да")) == "{D A} вада {A D}-{D A}"
    assert processor.split("да; вада", 4) == ["да", "вада"]
