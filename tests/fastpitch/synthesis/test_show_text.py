"""`--show-text`: how a model reads texts."""

from __future__ import annotations

from pathlib import Path

import pytest

import inference
from common.errors import InputError
from common.synthesis.phrases import Phrase
from fastpitch.synthesis.flags import SpeechConfig
from fastpitch.synthesis.show_text import show_texts
from voice.folder import DEFAULT_VOICE, find_voice


def test_all_texts_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    cfg = SpeechConfig(fastpitch=str(find_voice(DEFAULT_VOICE).fastpitch), p_arpabet=0.0)
    phrases = [
        Phrase("a.wav", text="5 km", line=2),
        Phrase("b.wav", text="—", line=3),
        Phrase("c.wav", text="Hi", line=4),
    ]
    with pytest.raises(InputError, match=r"texts\.tsv: 1 of 3 texts cannot be spoken"):
        show_texts(phrases, "texts.tsv", cfg)
    out = capsys.readouterr().out
    assert "texts.tsv: line 2\ntext:    5 km\nread:    five kilometers\n" in out
    assert "texts.tsv: line 3\ntext:    —\nerror:   nothing can be spoken" in out
    assert "symbols: hi\n" in out


def test_the_flag_makes_no_speech(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inference.main(["--text", "Hi 5.", "--show-text", "-o", str(tmp_path / "a.wav")]) == 0
    assert "cleaned: hi five.\n" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
