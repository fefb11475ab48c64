"""`python -m voice.say` writes what `Voice.save` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import InputError
from tests.support.models import make_voice
from voice import load_voice, say


def test_speaks_into_the_file(tmp_path: Path) -> None:
    folder = make_voice(tmp_path / "ann")
    words = ["Hello there.", "--voice", str(folder), "--pace", "2", "-o", str(tmp_path / "new" / "hello.wav")]
    assert say.main(words) == 0
    load_voice(folder).save("Hello there.", tmp_path / "same.wav", pace=2.0)
    assert (tmp_path / "new" / "hello.wav").read_bytes() == (tmp_path / "same.wav").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["Hello."], "-o: is required"),
        (["Hello.", "-o", "hello.mp3"], "-o: hello.mp3: only wav files are written"),
        ([" ", "-o", "hello.wav"], "TEXT: is empty"),
        (["...", "-o", "hello.wav"], r"text: nothing can be spoken of the text '\.\.\.': it has no letters or digits"),
        (["?! -", "-o", "hello.wav"], r"text: nothing can be spoken of the text"),
    ],
)
def test_errors(words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^{message}"):
        say.main(words)
    assert list(tmp_path.iterdir()) == []


def test_unknown_voice_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="nobody: no such voice"):
        say.main(["Hello.", "-o", "hello.wav", "--voice", "nobody"])
