"""metadata.csv in the layouts of public data sets, and what can be read in two ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.data.metadata import name_clip, number_speakers, read_metadata
from common.errors import InputError
from tests.support.paths import written

SENTENCES = ["The birch canoe slid on the smooth planks.", "Glue the sheet to the dark blue background.", "It rained."]
SENTENCES += ["These days a chicken leg is a rare dish.", "Rice is often served in round bowls.", "Anna spoke to Ben."]


def lines(*columns: str) -> str:
    """Return a file of six clips; a column is a format for the clip's number, its text, and its speaker."""
    speakers = ["anna", "ben"]
    return "".join(
        "|".join(column.format(i=i, text=text, speaker=speakers[i % 2]) for column in columns) + "\n"
        for i, text in enumerate(SENTENCES)
    )


TEXTS = {f"c{i}": text for i, text in enumerate(SENTENCES)}
SPEAKERS = {f"c{i}": ["anna", "ben"][i % 2] for i in range(6)}


@pytest.mark.parametrize(
    ("columns", "speakers"),
    [
        (("c{i}", "{text}"), {}),
        (("c{i}", "{text} 12", "{text}"), {}),
        (("c{i}", "{text}", "{speaker}"), SPEAKERS),
        (("c{i}", "{speaker}", "{text}"), SPEAKERS),
        (("c{i}", "{text}", "anna"), dict.fromkeys(TEXTS, "anna")),
        (("c{i}", "{text}", ""), {}),
        (("c{i}", "", "{text}"), {}),
        (("c{i}", "{text}", "", ""), {}),
        (("c{i}.wav", "{text}"), {}),
        (("wavs/c{i}.FLAC", "{text}"), {}),
        ((r".\wavs\c{i}.wav", "{text}"), {}),
        (('"c{i}"', '"{text}"'), {}),
    ],
)
def test_layouts(tmp_path: Path, columns: tuple[str, ...], speakers: dict[str, str]) -> None:
    found = read_metadata(written(tmp_path / "metadata.csv", lines(*columns)))
    assert found.texts == TEXTS
    assert found.speakers == speakers


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        (("c{i}", "{text}", "{text}", "{speaker}"), "id,text,normalised,speaker"),
        (("{speaker}", "c{i}", "x", "{text}"), "speaker,id,ignore,normalised"),
        (("c{i}", "{speaker}", "{text}"), "id, speaker, text"),
    ],
)
def test_named_columns(tmp_path: Path, columns: tuple[str, ...], named: str) -> None:
    path = written(tmp_path / "metadata.csv", lines(*columns))
    found = read_metadata(path, [name.strip() for name in named.split(",")])
    assert (found.texts, found.speakers) == (TEXTS, SPEAKERS)


def test_first_line_with_names(tmp_path: Path) -> None:
    content = "audio_file|text|speaker_name\n" + lines("c{i}", "{text}", "{speaker}{i}")
    found = read_metadata(written(tmp_path / "metadata.csv", content))
    assert found.texts == TEXTS
    assert found.speakers["c1"] == "ben1", "each speaker has one clip, which contents alone would not show"


def test_third_column_or_the_second(tmp_path: Path) -> None:
    path = written(tmp_path / "metadata.csv", "A1|Dr. X|Doctor X\nA2|Mr. Y|\nB 2|Only \u2028 one\n\n")
    assert read_metadata(path).texts == {"A1": "Doctor X", "A2": "Mr. Y", "B 2": "Only \u2028 one"}


def test_equal_names_of_several_speakers(tmp_path: Path) -> None:
    rows = (
        "".join(f"001|{s}|{t}\n" for s, t in (("anna", "Yes, she did."), ("ben", "No."))) + "002|anna|Then it rained.\n"
    )
    found = read_metadata(written(tmp_path / "metadata.csv", rows), ("id", "speaker", "text"))
    assert list(found.texts) == ["anna/001", "ben/001", "anna/002"]


def test_bars_in_texts(tmp_path: Path) -> None:
    path = written(tmp_path / "metadata.csv", "a|One.\nb|Left | right | end.\n")
    assert read_metadata(path, ("id", "text")).texts == {"a": "One.", "b": "Left right end."}
    with pytest.raises(InputError, match=r"line 2 has 4 columns"):
        read_metadata(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("A|x\n\nB\n", r"line 3 is not 'id\|transcript'"),
        ("A,x\n", r"line 1 is not .*not by commas"),
        ("|x\n", "line 1 is not"),
        ("\n", "no transcripts"),
        ("id|text\n", "no transcripts"),
        ("A|x\nB|y\nA|z\n", "line 3 names A a second time, with another text"),
        (b"A|\xe9\xe8\n", "not a UTF-8 text file"),
        (lines("c{i}", "{text}", "{text}", "extra"), "line 1 has 4 columns, .*normalised,speaker or .*,ignore"),
        (
            lines("c{i}", "{text}", "{i} other words"),
            "line 1: .*'The birch canoe.*' or '0 other words'",
        ),
        (lines("c{i}", "yes", "{speaker}"), "line 1: .*may be 'yes' or 'anna'"),
        ("a|Hello there.|anna\n", "line 1: .*'Hello there.' or 'anna'; give --metadata-columns id,t"),
        (
            "a|One.\nb|Left | right\n",
            "line 2 has 3 columns, and 1 of 2 lines have 2: .*id,text; for .*id,text,norm",
        ),
    ],
)
def test_refused_metadata(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"metadata\.csv: {message}"):
        read_metadata(written(tmp_path / "metadata.csv", content))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("id,words", "unknown 'words'; name each column in order"),
        ("id,text,text", "text twice"),
        ("text,speaker", "has no id or no text"),
        ("id,speaker", "has no id or no text"),
    ],
)
def test_refused_columns(tmp_path: Path, columns: str, message: str) -> None:
    with pytest.raises(InputError, match=f"--metadata-columns: .*{message}"):
        read_metadata(tmp_path / "metadata.csv", columns.split(","))


def test_lines_that_are_there_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_metadata(written(tmp_path / "metadata.csv", "a|One.\na.wav|One.\n")).texts == {"a": "One."}
    assert "1 lines are there twice: a" in caplog.text


def test_numbers_of_speakers() -> None:
    assert number_speakers({"1": "ben", "2": "anna", "3": "ben"}) == {"anna": 0, "ben": 1}
    assert number_speakers({"1": "10", "2": "9", "3": "2"}) == {"2": 0, "9": 1, "10": 2}


def test_names_of_clips() -> None:
    assert [name_clip(name) for name in ("a.b", "a.b.wav", "wavs/x/a.OGG", "./a")] == ["a.b", "a.b", "x/a", "a"]


def test_a_header_may_have_columns_that_are_not_used(tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "metadata.csv"
    path.write_text("id|text|lang\n" + "".join(f"c{i}|Words of clip {i}.|en\n" for i in range(5)))
    found = read_metadata(path)
    assert found.texts == {f"c{i}": f"Words of clip {i}." for i in range(5)}
    assert "the columns lang are ignored" in caplog.text
