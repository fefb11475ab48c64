"""Lists such as `metadata.csv` give recordings their texts and speakers."""

import pytest

from common.errors import InputError
from voice.recordings.metadata import Listed, read_lists
from voice.recordings.segment import Recording


def read(folder, *names):
    return read_lists(folder, [Recording(folder / name, name) for name in names])


def test_texts_and_speakers(tmp_path):
    (tmp_path / "metadata.csv").write_text("id|text|speaker\na|One.|ann\nx/b.wav|Two.|bob\nc|Three.|bob\n")
    problem = f"{tmp_path / 'metadata.csv'}: 1 of 3 rows have no recording: c"
    found = read(tmp_path, "wavs/a.wav", "x/b.flac", "y/c.wav", "z/c.wav")
    texts = {"wavs/a.wav": "One.", "x/b.flac": "Two."}
    assert found == Listed(texts, {"wavs/a.wav": "ann", "x/b.flac": "bob"}, [problem]), "c may be either of two"


def test_no_list(tmp_path):
    assert read(tmp_path, "a.wav") == Listed()


def test_a_damaged_list(tmp_path, caplog):
    (tmp_path / "metadata.csv").write_text("no columns\n")
    with pytest.raises(InputError, match="line 1 is not"):
        read(tmp_path, "a.wav")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "metadata.csv").write_text("a|One.\n")
    assert read(tmp_path, "part/a.wav").texts == {"part/a.wav": "One."}
    assert "line 1 is not" in caplog.text
