"""`python -m common.text`: how a text is read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from common.errors import InputError
from common.text import TextProcessor
from common.text.__main__ import main
from common.text.describe import describe_text
from tests.support.paths import PARITY

DICTIONARY = PARITY / "cmudict_of_text"


def test_words_symbols_and_letters() -> None:
    text = TextProcessor(cmudict_path=DICTIONARY)
    assert describe_text(text, "The print read 5: Kubernetes.") == [
        "text:    The print read 5: Kubernetes.",
        "read:    the print read five kubernetes",
        "cleaned: the print read five: kubernetes.",
        "symbols: the {P R IH1 N T} read {F AY1 V}: kubernetes.",
        "letters: the (several pronunciations), read (its pronunciation depends on its meaning), kubernetes (not in "
        "the dictionary)",
    ]


def test_without_a_dictionary_all_words_are_letters() -> None:
    assert describe_text(TextProcessor(p_arpabet=0), "Hi 5.")[2:] == ["cleaned: hi five.", "symbols: hi five."]


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("XYLOGRAM  Z AY1\n")
    flags = ["--cmudict-path", str(DICTIONARY), "--pronunciations", str(tmp_path / "own")]
    assert main([*flags, "A xylogram."]) == 0
    assert "symbols: a {Z AY1}.\n" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("***\n\nThe print\n"))
    with pytest.raises(InputError, match="1 of 2 texts cannot be spoken"):
        main(flags)
    out = capsys.readouterr().out
    assert "text:    ***\nerror:   nothing can be spoken" in out
    assert "symbols: the {P R IH1 N T}\n" in out
