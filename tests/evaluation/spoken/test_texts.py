"""Texts of phrase files, metadata and file lists, and where their recordings are looked for."""

import pytest
import soundfile

from common.errors import InputError
from evaluation.spoken.texts import SpokenText, read_texts
from tests.support.data_sets import speechlike, write_data_set


@pytest.fixture
def data(tmp_path):
    return write_data_set(tmp_path / "data", [0.3, 0.3])


def read(path, content, data, **options):
    path.write_text(content)
    return read_texts(path, options.pop("reference", None), data, **options)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Hello.\nWhy?\n", [("audio_1", "Hello."), ("audio_2", "Why?")]),
        ("a.wav|Hello.\n\nsub/b|Why?\n", [("a", "Hello."), ("sub/b", "Why?")]),
        ("output\ttext\na\tHello | there.\n", [("a", "Hello | there.")]),
        ("a|Dr. X|Doctor X\nv1.5|Why?|Why?\n", [("a", "Doctor X"), ("v1.5", "Why?")]),
        ("wavs/a.flac|pitch/a.pt|Hello.\n", [("wavs/a", "Hello.")]),
    ],
    ids=["texts", "names", "table", "metadata", "file list"],
)
def test_formats(content, expected, tmp_path):
    found = read(tmp_path / "texts", content, tmp_path / "nowhere")
    assert found == [SpokenText(name, text) for name, text in expected]


def test_speakers(tmp_path):
    rows = "wavs/a.wav|pitch/a.pt|Hello.|1\nwavs/b.wav|pitch/b.pt|Why?|0\n"
    assert [text.speaker for text in read(tmp_path / "list", rows, tmp_path)] == ["1", "0"]
    table = "text\tspeaker\nHello.\tanna\n"
    assert [text.speaker for text in read(tmp_path / "table", table, tmp_path)] == ["anna"]


def test_recordings_of_metadata_lie_beside_it(data):
    found = read_texts(data / "metadata.csv", None, data / "nowhere")
    assert [text.recording for text in found] == [data / "wavs" / f"clip00{i}.wav" for i in range(2)]
    assert len(read_texts(data / "metadata.csv", None, data, limit=1)) == 1


def test_recordings_of_a_file_list_lie_in_the_data_set(data, tmp_path):
    (first, other) = read(tmp_path / "list.txt", "wavs/clip001.wav|Yes.\nwavs/clip007.wav|No.\n", data)
    assert first == SpokenText("wavs/clip001", "Yes.", data / "wavs" / "clip001.wav")
    assert other.recording is None


def test_recordings_of_a_folder_are_named_like_the_texts(data, tmp_path):
    (tmp_path / "read" / "sub").mkdir(parents=True)
    soundfile.write(tmp_path / "read" / "sub" / "b.flac", speechlike(0.3), 22050)
    found = read(tmp_path / "list.txt", "a|Yes.\nb|No.\n", data, reference=tmp_path / "read")
    assert [text.recording for text in found] == [None, tmp_path / "read" / "sub" / "b.flac"]
    with pytest.raises(InputError, match="none of its 1 audio files is named like a text, such as x"):
        read(tmp_path / "list.txt", "x|Yes.\n", data, reference=tmp_path / "read")
    with pytest.raises(FileNotFoundError, match=r"-i: .*no such folder of recordings"):
        read(tmp_path / "list.txt", "x|Yes.\n", data, reference=tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a|Yes.\nb\n", "b has no text"),
        ("mel\toutput\nm.pt\ta\n", r"a.wav has no text"),
        ("wavs/a.wav|Yes.\nwavs/a.flac|No.\n", "2 lines of .* are called wavs/a"),
        ("../a|Yes.\n", "does not lie inside the output directory"),
        ("", "is empty"),
    ],
)
def test_unusable_lines(content, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read(tmp_path / "texts", content, tmp_path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--texts: .*no such file"):
        read_texts(tmp_path / "none.txt", None, tmp_path)
