"""Own words beside the dictionary."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.errors import InputError
from common.text import TextProcessor
from common.text.settings import record_reading, stored_pronunciations
from fastpitch.synthesis.text_flags import TextFlags, text_processor
from tests.support.paths import PARITY

DICTIONARY = PARITY / "cmudict_of_text"
OWN = """\ufeff;;; our words
Kubernetes  K UW1 B
KUBERNETES  K UW2 B ER0 N EH1 T IY0 Z  # the last line wins
SQL\tS IY1 K W AH0 L
read  R EH1 D
the(2)  DH IY0
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.dict"
    path.write_text(OWN, encoding="utf-8")
    return path


def read(text: str, own: Any) -> str:
    processor = TextProcessor(cmudict_path=DICTIONARY, pronunciations=own)
    return processor.decode(processor.encode(text))


def test_own_words_beside_the_dictionary(own: Path) -> None:
    assert read("Kubernetes, kubernetes's print", None) == "kubernetes, kubernetes's {P R IH1 N T}"
    assert read("Kubernetes, kubernetes's print", own) == (
        "{K UW2 B ER0 N EH1 T IY0 Z}, {K UW2 B ER0 N EH1 T IY0 Z IH0 Z} {P R IH1 N T}"
    )


def test_own_words_win_over_the_dictionary_and_heteronyms(own: Path) -> None:
    assert read("I read the print.", own) == "{AY1} {R EH1 D} {DH IY0} {P R IH1 N T}."


def test_own_words_in_capitals_are_not_spelt(own: Path) -> None:
    assert read("SQL, MySQL", own) == "{S IY1 K W AH0 L}, mysql"
    assert read("SQL", None) == "{EH1 S}.q.{EH1 L}."
    assert read("the BBC's", {"BBC": "B IY1"}) == "the {B IY1 Z}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CAT  K AE9 T", "own.dict: line 2: the pronunciation '{K AE9 T}' has the unknown phonemes 'AE9'"),
        ("CAT  k ae t", "own.dict: line 2: 'k ae t' are not phonemes; write CAT, two spaces, and phonemes"),
        ("CAT", "own.dict: line 2: '' are not phonemes"),
        ("C4T  K AE1 T", "own.dict: line 2: 'C4T' is not one word of letters and apostrophes"),
    ],
)
def test_faults_name_file_and_line(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "own.dict"
    path.write_text(f"DOG  D AO1 G\n{line}\n")
    with pytest.raises(InputError) as caught:
        TextProcessor(cmudict_path=DICTIONARY, pronunciations=path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_faults(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent: no such file of pronunciations"):
        TextProcessor(cmudict_path=DICTIONARY, pronunciations=tmp_path / "absent")
    (tmp_path / "latin").write_bytes(b"D\xc9J\xc0  D EY1\n")
    with pytest.raises(InputError, match="latin: not a readable text file in UTF-8"):
        TextProcessor(cmudict_path=DICTIONARY, pronunciations=tmp_path / "latin")
    with pytest.raises(InputError, match="p_arpabet is 0"):
        TextProcessor(p_arpabet=0, pronunciations={"CAT": "K AE1 T"})
    with pytest.raises(InputError, match="pronunciations: 'x y' are not phonemes"):
        TextProcessor(cmudict_path=DICTIONARY, pronunciations={"CAT": "x y"})


def checkpoint(**train_setup: Any) -> Any:
    config = SimpleNamespace(n_symbols=148, padding_idx=0)
    return SimpleNamespace(path=Path("model.pt"), train_setup=train_setup, config=config)


def test_a_checkpoint_keeps_own_words_and_edition(own: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trained = TextProcessor(cmudict_path=DICTIONARY, pronunciations=own)
    setup = record_reading(trained)
    assert stored_pronunciations(setup)["KUBERNETES"] == "K UW2 B ER0 N EH1 T IY0 Z"
    assert setup["dictionary"] == trained.edition
    assert trained.edition.startswith("cmudict_of_text ")
    more = tmp_path / "more.dict"
    more.write_text("SQL  EH1 S\n")
    flags = TextFlags(cmudict_path=str(DICTIONARY), pronunciations=str(more))
    processor = text_processor(flags, checkpoint(**setup))
    assert processor.pronounce(processor.clean("SQL, kubernetes")) == "{EH1 S}, {K UW2 B ER0 N EH1 T IY0 Z}"
    assert not caplog.records
    other = tmp_path / "other"
    other.write_text("CAT  K AE1 T\n")
    caplog.set_level(logging.WARNING)
    text_processor(TextFlags(cmudict_path=str(other)), checkpoint(**setup))
    assert len(caplog.records) == 1
    assert "model.pt: trained with the dictionary cmudict_of_text " in caplog.text
    assert "read with other " in caplog.text


def test_nothing_is_recorded_without_a_dictionary() -> None:
    assert record_reading(TextProcessor(p_arpabet=0)) == {}
