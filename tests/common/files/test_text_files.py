"""Text files of other programs: encodings, marks, line ends, and files that are no text."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from common.errors import InputError
from common.files import text_files
from common.files.text_files import read_lines
from tests.support.paths import written

TEXT = "a|Größe café\nb|naïve – “yes”\n"


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_encodings(tmp_path: Path, mark: bytes, encoding: str, ends: str, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "t.txt", mark + TEXT.replace("\n", ends).encode(encoding))
    assert read_lines(path) == TEXT.split("\n")
    assert not caplog.messages


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-16-be"])
def test_guessed_encodings_are_named_once(tmp_path: Path, encoding: str, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "t.txt", TEXT.encode(encoding))
    assert read_lines(path) == read_lines(path) == TEXT.split("\n")
    assert len(caplog.messages) == 1
    assert f"t.txt: not UTF-8; read as {encoding}, a guess" in caplog.messages[0]


def test_marks_inside(tmp_path: Path) -> None:
    content = codecs.BOM_UTF8 + b"a|x\n" + codecs.BOM_UTF8 + b"b|y\n"
    assert read_lines(written(tmp_path / "joined.txt", content)) == ["a|x", "b|y", ""]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a|привет, как дела\n".encode("cp1251"), "not a UTF-8 text file; save it as UTF-8"),
        (b"a|x\nb|\0y\n", "line 2 has a zero byte"),
        (bytes(range(256)) * 3, "not a UTF-8 text file"),
        (codecs.BOM_UTF16_LE + b"a\0b", "begins like UTF-16-LE, but is not"),
        (codecs.BOM_UTF16_LE + "\ud800x".encode("utf-16-le", "surrogatepass"), "begins like UTF-16-LE, but is not"),
        (b"a|caf\x81\n", "not a UTF-8 text file"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"t\.txt: .*{message}"):
        read_lines(written(tmp_path / "t.txt", content))


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "t.txt", "a\n" + "b" * 30 + "\n")
    monkeypatch.setattr(text_files, "LONGEST_LINE", 30)
    assert len(read_lines(path)) == 3
    monkeypatch.setattr(text_files, "LONGEST_LINE", 29)
    with pytest.raises(InputError, match="line 2 has 30 characters; split it"):
        read_lines(path)
    monkeypatch.setattr(text_files, "LARGEST_BYTES", 32)
    with pytest.raises(InputError, match=r"too large for a list of texts"):
        read_lines(path)
