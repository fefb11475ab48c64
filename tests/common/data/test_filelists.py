"""File lists, splits of a data set, and the check of all audio before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from common.data.filelists import check_wavs, read_filelist, read_paths, split_randomly, write_lines
from common.errors import InputError
from tests.support.paths import written


def sound(path: Path, rate: int = 22050, samples: int = 100, channels: int = 1) -> Path:
    soundfile.write(path, np.zeros((samples, channels)), rate)
    return path


def test_filelist(tmp_path: Path) -> None:
    path = written(tmp_path / "l.txt", b"\xef\xbb\xbfwavs/a.wav\r\n\r\n  \nwavs/b.wav | pitch/b.pt | Text.\n")
    assert read_filelist(path) == [["wavs/a.wav"], ["wavs/b.wav", "pitch/b.pt", "Text."]]
    assert read_paths([path, path], tmp_path) == [tmp_path / "wavs/a.wav", tmp_path / "wavs/b.wav"] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("\n \n", "is empty"), ("a.wav\n\n|Text\n", "line 3 has no path"), (b"\xff\xff\xff", "UTF-8")],
)
def test_refused_filelists(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"l\.txt: .*{message}"):
        read_filelist(written(tmp_path / "l.txt", content))


def test_missing_filelist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"l\.txt: no such file list; make it with"):
        read_filelist(tmp_path / "l.txt")


def test_own_split() -> None:
    ids = [f"clip{number}" for number in range(50)]
    parts = split_randomly(ids, 7)
    assert len(parts["val"]) == 7
    assert sorted(parts["train"] + parts["val"]) == sorted(ids)
    assert split_randomly(reversed(ids), 7) == parts, "depends on the order of the ids"
    assert split_randomly(ids, 7, seed=1) != parts
    assert parts["val"] != sorted(ids)[:7]
    for size in (0, -1, 50, 51):
        with pytest.raises(InputError, match=f"--validation-clips: {size} of 50"):
            split_randomly(ids, size)


def test_audio_is_checked_before_any_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good, stereo = sound(tmp_path / "good.wav"), sound(tmp_path / "stereo.wav", channels=2)
    check_wavs([good, stereo, good], 22050)
    assert "1 files have several channels" in caplog.text
    assert "good.wav is listed 2 times" in caplog.text
    bad = [
        tmp_path / "absent.wav",
        written(tmp_path / "text.wav", "text"),
        sound(tmp_path / "empty.wav", samples=0),
        sound(tmp_path / "other.wav", rate=16000),
        tmp_path,
    ]
    with pytest.raises(InputError) as caught:
        check_wavs([good, *bad], 22050)
    message = str(caught.value)
    assert message.startswith("5 of 6 audio files cannot be used: ")
    assert message.endswith(" (and 2 more)")
    assert all(path.name in message for path in bad[:3])
    with pytest.raises(InputError, match=r"other\.wav: sampling rate is 16000 Hz, expected 22050"):
        check_wavs(bad[3:4], 22050)
    check_wavs(bad[3:4], None)


def test_lists_appear_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "l.txt"
    write_lines(path, ["ä", "b"])
    assert path.read_bytes() == "ä\nb\n".encode()

    def interrupted():
        yield "c"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_lines(path, interrupted())
    with pytest.raises(UnicodeEncodeError):
        write_lines(path, ["\ud800"])
    assert [file.name for file in path.parent.iterdir()] == ["l.txt"]
    assert path.read_bytes() == "ä\nb\n".encode()
