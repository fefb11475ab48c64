"""Phrase files in all three formats, and names that try to leave the output directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import InputError
from common.synthesis.phrases import Phrase, read_phrases, safe_name

PHRASES = Path(__file__).parents[3] / "phrases"


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "phrases.tsv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_table(tmp_path: Path) -> None:
    path = written(tmp_path, "text\tmel\toutput\nOne two.\tmels/a.pt\tx/one\nThree.\t\t\n")
    assert read_phrases(path) == [
        Phrase("x/one.wav", "mels/a.pt", "One two."),
        Phrase("audio_2.wav", None, "Three."),
    ]


def test_table_of_one_column(tmp_path: Path) -> None:
    assert read_phrases(written(tmp_path, "mel\nmels/a.pt\n")) == [Phrase("audio_1.wav", "mels/a.pt")]
    assert read_phrases(written(tmp_path, "text\nHello.\n")) == [Phrase("audio_1.wav", None, "Hello.")]


def test_table_of_speech(tmp_path: Path) -> None:
    path = written(tmp_path, "speaker\ttext\tpitch\n3\tOne.\tp/a.npy\n\n\tTwo.\t\n")
    phrases = read_phrases(path)
    assert phrases == [
        Phrase("audio_1.wav", None, "One.", "p/a.npy", "3"),
        Phrase("audio_2.wav", None, "Two."),
    ]
    assert [phrase.line for phrase in phrases] == [2, 4]


def test_names_and_texts(tmp_path: Path) -> None:
    path = written(tmp_path, "one.wav|A bar | inside.\ntwo|Second.\n|Third.\n")
    assert read_phrases(path) == [
        Phrase("one.wav", None, "A bar | inside."),
        Phrase("two.wav", None, "Second."),
        Phrase("audio_3.wav", None, "Third."),
    ]


def test_plain_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "\n  First line. \n\n\t\nSecond line.\n\n")
    assert read_phrases(path) == [
        Phrase("audio_1.wav", None, "First line."),
        Phrase("audio_2.wav", None, "Second line."),
    ]


def test_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbfmel\toutput\r\nm/a.pt\ta.wav\r\n\r\nm/b.pt\tb.wav")
    assert read_phrases(path) == [Phrase("a.wav", "m/a.pt"), Phrase("b.wav", "m/b.pt")]


@pytest.mark.parametrize("character", ["\u2028", "\x85", "\x0c", "\x1c"])
def test_only_line_ends_end_lines(tmp_path: Path, character: str) -> None:
    assert [phrase.text for phrase in read_phrases(written(tmp_path, f"a{character}b\nc"))] == [f"a{character}b", "c"]


@pytest.mark.parametrize(
    "name", ["../../x.wav", "a/../../x.wav", "/tmp/x.wav", "..", "..\\x.wav", "\\x.wav", "C:\\x.wav", ".", "a\0b.wav"]
)
def test_names_outside_the_output_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="does not lie inside"):
        safe_name(name)
    message = "not a text file: line {} has a zero byte" if "\0" in name else "line {}: output name"
    path = written(tmp_path, f"ok.wav|Fine.\n\n{name}|Bad.\n")
    with pytest.raises(InputError, match=r"phrases\.tsv: " + message.format(3)):
        read_phrases(path)
    path = written(tmp_path, f"mel\toutput\nm.pt\t{name}\n")
    with pytest.raises(InputError, match=r"phrases\.tsv: " + message.format(2)):
        read_phrases(path)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a", "a.wav"),
        ("a.WAV", "a.WAV"),
        ("v1.2", "v1.2.wav"),
        ("./a.wav", "a.wav"),
        ("s\\a.wav", "s/a.wav"),
        ("s//a", "s/a.wav"),
        ("..a", "..a.wav"),
    ],
)
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("mel\toutput\ttext\na\tb\tc\n\na\tb2\n", "line 4 has 2 columns, the header has 3"),
        ("mel\toutput\na\tb\tc\n", "line 2 has 3 columns, the header has 2"),
        ("mel\tname\na\tb\n", "header must name different columns among mel, output.*'name'"),
        ("mel\tmel\na\tb\n", "header must name different columns"),
        ("mel\toutput\n", "has a header but no phrases"),
        ("wavs/a.wav|pitch/a.pt|One.\nwavs/b.wav|pitch/b.pt|Two.|1\n", "file list or metadata, with 4 columns"),
        ("wavs/a.wav|pitch/a.pt|One.\n", "file list or metadata, with 3 columns"),
        ("wavs/a.wav\nwavs/b.wav\n", "looks like a list of audio files, not like phrases: give lines"),
        ("a|Dr. X|Doctor X\nb|5|five\n", "file list or metadata, with 3 columns"),
        ("a|One.|One.\n", "file list or metadata, with 3 columns"),
        ("x|" + "a" * 9 + "\n" + "y" * 252 + "|b\n", "line 2: output name 'y.*' is longer than 255 bytes"),
        ("", "is empty"),
        ("\n \n\t\n", "is empty"),
        ("a.wav|One.\nb.wav|Two.\n./a|Three.\n", r"line 3: line 1 has the output name 'a\.wav' already"),
        ("audio_2.wav|One.\n|Two.\n", r"line 2: line 1 has the output name 'audio_2\.wav' already"),
        ("x/a.wav/b|One.\nx/a|Two.\n", r"line 1: 'x/a\.wav/b\.wav' cannot lie in 'x/a\.wav', the output of line 2"),
        (b"\xe9\xe8|\xe9\n", "not a UTF-8 text file"),
    ],
)
def test_refused_files(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        read_phrases(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.tsv: no such phrase file \(-i\)"):
        read_phrases(tmp_path / "absent.tsv")


@pytest.mark.parametrize(
    ("name", "count"), [("devset10", 10), ("devset_all", 100), ("benchmark_8_128", 8), ("benchmark_16_128", 16)]
)
def test_the_files_of_this_repository(name: str, count: int) -> None:
    phrases = read_phrases(PHRASES / f"{name}.tsv")
    assert len(phrases) == count
    assert all(phrase.mel and phrase.mel.startswith("mels/LJ") and phrase.text for phrase in phrases)
    if name.startswith("benchmark"):
        assert {len(phrase.text or "") for phrase in phrases} == {128}


@pytest.mark.parametrize("name", ["mel.npy", "mel.PT"])
def test_mel_in_place_of_phrases(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match="-i takes no mel itself; give a text file with the line 'mel'"):
        read_phrases(tmp_path / name)


def test_a_name_that_no_file_can_have() -> None:
    """As a damaged synthesis.json can contain it."""
    with pytest.raises(InputError, match=r"'.ud800' has a character that file names cannot have"):
        safe_name("\ud800")
