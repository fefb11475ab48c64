"""Which files of a folder are data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.audio_files import list_audio_files
from common.audio_input.names import AUDIO_SUFFIXES
from common.errors import InputError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def listed(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in list_audio_files(root)]


def test_suffixes_in_any_case_and_no_hidden_files(tmp_path: Path) -> None:
    touch(tmp_path, "A.WAV", "b.Flac", "c/d.opus", "c/e.m4a", "f.txt", "._A.WAV", ".g.wav", ".cache/h.wav", "i.wav/j")
    touch(tmp_path, "__MACOSX/A.wav", ".git/annex/k.wav", "l.mp3")
    assert listed(tmp_path) == ["A.WAV", "b.Flac", "c/d.opus", "c/e.m4a", "l.mp3"]


def test_a_hidden_folder_can_be_named(tmp_path: Path) -> None:
    touch(tmp_path, ".data/a.wav")
    assert listed(tmp_path / ".data") == ["a.wav"]


def test_links(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "store/x.wav", "store/deep/y.wav", "data/a.wav")
    (tmp_path / "data" / "speaker").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "again").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "absent.wav").symlink_to("nowhere.wav")
    (tmp_path / "store" / "deep" / "loop").symlink_to(tmp_path / "data")
    expected = ["a.wav", "absent.wav"]
    expected += [f"{name}/{file}" for name in ("again", "speaker") for file in ("deep/y.wav", "x.wav")]
    assert listed(tmp_path / "data") == expected
    assert caplog.text.count("a link to a folder above it; not followed") == 2, "once for each way into the loop"


def test_none(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt")
    with pytest.raises(InputError, match=f"no audio files .{', '.join(AUDIO_SUFFIXES[:3])}"):
        list_audio_files(tmp_path)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    touch(tmp_path, os.fsdecode(b"caf\xe9.wav"))
    assert [os.fsencode(path.name) for path in list_audio_files(tmp_path)] == [b"caf\xe9.wav"]
