"""Atomic writes: the order of disk operations, failures, and what killed processes leave."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from common.errors import InputError
from common.files.atomic import beside, remove_leftovers, rename, replace_synced, replacing, sync_to_disk, write_whole


def test_data_reaches_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    replace = Path.replace

    def noted(self: Path, to: Path) -> Path:
        calls.append("replace")
        return replace(self, to)

    def size_or_folder(descriptor: int) -> str:
        found = os.fstat(descriptor)
        return "fsync folder" if stat.S_ISDIR(found.st_mode) else f"fsync {found.st_size} bytes"

    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append(size_or_folder(descriptor)))
    monkeypatch.setattr(Path, "replace", noted)
    (tmp_path / "part").write_bytes(b"four")
    replace_synced(tmp_path / "part", tmp_path / "file")
    assert calls == ["fsync 4 bytes", "replace", "fsync folder"]


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def write_half() -> None:
        with replacing(tmp_path / "file") as temporary:
            temporary.write_bytes(b"ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_is_replaced_not_overwritten(tmp_path: Path, sync: bool) -> None:
    path = tmp_path / "new" / "file"
    write_whole(path, b"old", sync=sync)
    (tmp_path / "link").hardlink_to(path)
    write_whole(path, b"new", sync=sync)
    assert (path.read_bytes(), (tmp_path / "link").read_bytes()) == (b"new", b"old")
    assert list(path.parent.iterdir()) == [path]


def test_a_single_file_removes_what_a_killed_process_left_of_it(tmp_path: Path) -> None:
    """Files stay that a living process or another machine is writing, and files of other names."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    with beside(tmp_path / "a.onnx") as temporary:
        here = temporary.name.split("-")[1]  # .a.onnx.PROCESS-MACHINE.tmp
    left = [f".a.onnx.{gone.pid}-{here}", f".a.onnx.{gone.pid}-{here}.onnx"]
    others = [f".a.onnx.{os.getppid()}-{here}", f".b.{gone.pid}-{here}", f".a.onnx.0-{here}", f".a.onnx.-{here}"]
    others += [f".a.onnx.{gone.pid}-01234567.tmp", f".a.onnx.{gone.pid}.tmp"]
    for name in left[:1] + others:
        (tmp_path / name).touch()
    (tmp_path / left[1]).mkdir()
    (tmp_path / left[1] / "inner").touch()
    write_whole(tmp_path / "a.onnx", b"one of many", one_of_many=True)
    assert {path.name for path in tmp_path.iterdir()} == {"a.onnx", *left, *others}
    write_whole(tmp_path / "a.onnx", b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"a.onnx", *others}


def test_devices_and_pipes_stay(tmp_path: Path) -> None:
    """Run by root, `-o /dev/null` replaced the machine's device by a file."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a device or a pipe"):
        write_whole(tmp_path / "pipe", b"x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_errors_of_a_full_disk_have_the_name(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: '.*file'"), replacing(tmp_path / "file"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match=r"^of another kind$"), replacing(tmp_path / "file"):
        raise OSError("of another kind")


def test_a_temporary_folder_is_removed(tmp_path: Path) -> None:
    with beside(tmp_path / "file") as folder:
        folder.mkdir()
        (folder / "inner").touch()
    assert list(tmp_path.iterdir()) == []


def test_only_leftovers_of_the_given_files_are_removed(tmp_path: Path) -> None:
    for name in (".a.wav.12.tmp", ".a.wav.12-01234567.tmp", ".b.wav.12.tmp", ".a.wav.tmp", "a.wav"):
        (tmp_path / name).touch()
    remove_leftovers([tmp_path / "a.wav", tmp_path / "absent" / "b.wav"])
    assert {path.name for path in tmp_path.iterdir()} == {".b.wav.12.tmp", ".a.wav.tmp", "a.wav"}


@pytest.mark.parametrize("name", ["x" * 251 + ".wav", "ä" * 125 + ".wav"])
def test_the_longest_names(tmp_path: Path, name: str) -> None:
    """A temporary name with the whole of them would be too long for the file system."""
    write_whole(tmp_path / name, b"content")
    assert (tmp_path / name).read_bytes() == b"content"
    with replacing(tmp_path / name) as temporary:
        temporary.write_bytes(b"half")
        left = temporary.with_name(temporary.name.replace(str(os.getpid()), "1"))
        left.write_bytes(b"of a killed process")
        temporary.unlink()
        temporary.write_bytes(b"new")
    remove_leftovers([tmp_path / name])
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ENOENT])
def test_a_rename_that_happened_but_reports_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As on a network file system, whose repeated request finds the file renamed."""
    plain = Path.replace

    def replace(source: Path, target: Path) -> None:
        if happens:
            plain(source, target)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "replace", replace)
    new, target = tmp_path / "new", tmp_path / "target"
    target.write_text("old")
    for happens in (False, True):
        new.write_text("new")
        if happens:
            rename(new, target)
        else:
            with pytest.raises(OSError, match=os.strerror(number)):
                rename(new, target)
        assert target.read_text() == ("new" if happens else "old")


def test_folders_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems refuse it. Other errors are errors."""
    numbers = iter([errno.EINVAL, errno.EIO])

    def fsync(descriptor: int) -> None:
        raise OSError(next(numbers), "")

    monkeypatch.setattr(os, "fsync", fsync)
    sync_to_disk(tmp_path)
    with pytest.raises(OSError, match="5"):
        sync_to_disk(tmp_path)
