"""Recordings are found with their speakers, each once, under unique names."""

import os

import pytest

from common.errors import InputError
from tests.support.paths import written
from voice.recordings.files import find_recordings, name_recordings
from voice.recordings.segment import Recording


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        written(folder / name, b"")
    return folder


def found(folder):
    return [(recording.name, recording.speaker) for recording in find_recordings(folder)]


def test_one_speaker(tmp_path):
    make(tmp_path, "b.WAV", "a.m4a", "part/c.mp4", ".hidden.wav", "notes.txt")
    assert found(tmp_path) == [("a.m4a", ""), ("b.WAV", ""), ("part/c.mp4", "")]


@pytest.mark.parametrize("above", ["", "wavs/", "wav48_silence_trimmed/", "data/wavs/"])
def test_a_folder_for_each_speaker(tmp_path, above):
    make(tmp_path, f"{above}bob/2.wav", f"{above}bob/more/1.mp3", f"{above}ann/1.flac", "txt/ann/1.txt")
    names = [("ann/1.flac", "ann"), ("bob/2.wav", "bob"), ("bob/more/1.mp3", "bob")]
    assert found(tmp_path) == [(above + name, speaker) for name, speaker in names]


def test_a_single_folder_is_no_speaker(tmp_path):
    make(tmp_path, "wavs/1.wav", "wavs/2.wav", "txt/1.txt")
    assert found(tmp_path) == [("wavs/1.wav", ""), ("wavs/2.wav", "")]
    assert name_recordings(find_recordings(tmp_path)) == {"wavs/1.wav": "1", "wavs/2.wav": "2"}


def test_copies_and_second_microphones(tmp_path, caplog):
    make(tmp_path, "p1/a_mic1.flac", "p1/a_mic2.flac", "p2/b_mic2.flac", "p2/c.wav", "p2/c.m4a")
    assert [name for name, _ in found(tmp_path)] == ["p1/a_mic1.flac", "p2/b_mic2.flac", "p2/c.wav"]
    assert "c.m4a: not used, the same recording is there in another format" in caplog.text


def test_names_are_unique_and_plain(tmp_path):
    make(tmp_path, "a b/c.wav", "a_b/c.wav", "A_B/C.wav", "ü.wav", f"{'x' * 150}.wav")
    names = name_recordings(find_recordings(tmp_path))
    assert len({name.lower() for name in names.values()}) == len(names) == 5
    assert names["A_B/C.wav"] == "A_B_C"
    assert names["ü.wav"] == "ü"
    assert all(len(name) < 120 and "/" not in name for name in names.values())
    assert names == name_recordings(find_recordings(tmp_path)), "the same each time"


def test_names_of_speakers(tmp_path):
    make(tmp_path, "Ann B/x/1.wav", "bob/1.wav")
    assert name_recordings(find_recordings(tmp_path)) == {"Ann B/x/1.wav": "Ann_B/x_1", "bob/1.wav": "bob/1"}


def test_speakers_of_a_list(tmp_path, caplog):
    make(tmp_path, "wavs/1.wav", "wavs/2.wav", "wavs/3.wav", "wavs/new.wav")
    rows = "1|ann|It rains.\n2|bob|It snows.\n3.wav|bob|It is hot.\n4|ann|It is cold.\n"
    (tmp_path / "metadata.csv").write_text(rows)
    assert found(tmp_path) == [("wavs/1.wav", "ann"), ("wavs/2.wav", "bob"), ("wavs/3.wav", "bob")]
    assert "wavs/new.wav: not used, metadata.csv names speakers, but none for this recording" in caplog.text
    assert list(name_recordings(find_recordings(tmp_path)).values()) == ["ann/1", "bob/2", "bob/3"]
    (tmp_path / "metadata.csv").write_text(rows.replace("ann", "bob"))
    assert {speaker for _, speaker in found(tmp_path)} == {""}, "one speaker, also of the recording that is not listed"
    assert len(found(tmp_path)) == 4


def test_names_of_speakers_fit_into_a_list(tmp_path):
    assert name_recordings([Recording(tmp_path, "-1.wav")]) == {"-1.wav": "1"}, "no formula of a spreadsheet"
    make(tmp_path, "a|b/1.wav", "two\nlines/1.wav")
    assert [speaker for _, speaker in found(tmp_path)] == ["a b", "two lines"]


def test_names_that_are_not_utf8(tmp_path):
    with open(os.path.join(os.fsencode(tmp_path), b"lat\xefn.wav"), "wb"):  # noqa: PTH118, PTH123 (bytes)
        pass
    (recording,) = find_recordings(tmp_path)
    assert recording.path.is_file()
    assert recording.name.encode() == rb"lat\udcefn.wav", "tables hold the name"


def test_nothing_to_read(tmp_path):
    with pytest.raises(InputError, match=r"no recordings \(\.wav"):
        find_recordings(make(tmp_path, "a.txt"))
    with pytest.raises(FileNotFoundError, match="no such folder"):
        find_recordings(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"a\.txt: a file; give the folder it is in"):
        find_recordings(tmp_path / "a.txt")
