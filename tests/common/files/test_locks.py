"""Locks keep a second process out, name the first one, and end with it."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import InputError
from common.files import locks
from common.files.locks import LOCK_FILE, alone_in, lock_folder, open_locked
from tests.support.paths import REPOSITORY

# Locks a folder, forks a child as data loaders do, and prints both numbers.
HOLDER = """
import os, sys, time
from pathlib import Path
from common.files.locks import lock_folder
with lock_folder(Path(sys.argv[1]), "go away"):
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    print(os.getpid(), child, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has locked `tmp_path`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline().split()[1])
        yield process
        os.kill(child, signal.SIGKILL)
        process.kill()


def test_a_second_process_is_refused_and_the_first_named(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(InputError) as refused, lock_folder(tmp_path, "give another --output", wait_sec=0):
        pass
    assert re.fullmatch(
        rf"{re.escape(str(tmp_path))}: process {holder.pid} on \S+ \(since [-0-9]+ [:0-9]+\) is at work there; "
        "wait until it ends, stop it, or give another --output",
        str(refused.value),
    )


def test_a_killed_process_holds_no_lock_although_its_loaders_live(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()
    assert (tmp_path / LOCK_FILE).is_file()
    with lock_folder(tmp_path, "", wait_sec=20):  # the child lives longer, but may not have run yet
        assert f"process {os.getpid()} " in (tmp_path / LOCK_FILE).read_text()
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_process_that_ends_in_time_is_waited_for(
    tmp_path: Path, holder: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    threading.Timer(0.3, holder.kill).start()
    with lock_folder(tmp_path, "", wait_sec=30):
        pass
    assert f"waiting up to 30 s until process {holder.pid} on " in caplog.text


def test_waiting_can_be_interrupted(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    def poll() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), lock_folder(tmp_path, "", wait_sec=30, poll=poll):
        pass


def test_a_removed_lock_does_not_admit_two(tmp_path: Path) -> None:
    """A waiting process may get the lock of a file that the first has just removed. A third would lock a new one."""
    with lock_folder(tmp_path, "", wait_sec=0):
        removed = (tmp_path / LOCK_FILE).open("a+b")
    with removed, lock_folder(tmp_path, "", wait_sec=0):
        fcntl.flock(removed, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not locks._is_still_at(tmp_path / LOCK_FILE, removed)


@pytest.mark.medium
def test_never_two_at_once(tmp_path: Path) -> None:
    """Four processes lock, count up and unlock, 50 times each. Nothing else keeps their counts apart."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes = [multiprocessing.get_context("fork").Process(target=_count, args=(tmp_path, 50)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert counter.read_text() == "200"


def _count(folder: Path, times: int) -> None:
    locks._POLL_SEC = 0.001
    for _ in range(times):
        with lock_folder(folder, "", wait_sec=100):
            number = int((folder / "counter").read_text())
            time.sleep(0.001)
            (folder / "counter").write_text(str(number + 1))


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with lock_folder(tmp_path, ""):
        pass
    assert caplog.messages == [f"{tmp_path}: this file system has no locks; start only one process at a time there"]


def test_folders_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"file: cannot be written \(File exists\); give another"),
        lock_folder(tmp_path / "file", "give another --output"),
    ):
        pass


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "precious"
    other.write_text("kept")
    (tmp_path / LOCK_FILE).symlink_to(other)
    with pytest.raises(InputError, match="cannot be written"), lock_folder(tmp_path, ""):
        pass
    assert other.read_text() == "kept"


@pytest.mark.parametrize("content", [b"", b"\xff\x00process", b"x" * 5000])
def test_any_record_is_understood(tmp_path: Path, content: bytes) -> None:
    with (tmp_path / LOCK_FILE).open("wb") as file:
        file.write(content)
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is at work"), lock_folder(tmp_path, "", wait_sec=0):
            pass


def test_a_full_disk_does_not_prevent_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    with lock_folder(tmp_path, "", wait_sec=0) as descriptor, (tmp_path / LOCK_FILE).open() as file:
        assert descriptor
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_locked_file_keeps_its_content_and_its_lock_when_renamed(tmp_path: Path) -> None:
    part = tmp_path / "a.part"
    part.write_bytes(b"begun ")
    with open_locked(part, "busy") as file:
        with pytest.raises(InputError, match=r"a\.part: busy"), open_locked(part, "busy"):
            pass
        file.write(b"and done")
        file.flush()
        part.rename(tmp_path / "a")
        with open_locked(part, "busy") as following:
            assert following.read() == b""
    assert (tmp_path / "a").read_bytes() == b"begun and done"


def test_a_folder_is_locked_before_leftovers_are_removed(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    left, other = tmp_path / ".a.wav.12.tmp", tmp_path / ".b.wav.12.tmp"
    left.touch()
    other.touch()
    with pytest.raises(InputError), alone_in(tmp_path, "", [tmp_path / "a.wav"], wait_sec=0):
        pass
    assert left.exists()
    holder.kill()
    holder.wait()
    with alone_in(tmp_path, "", [tmp_path / "a.wav"], wait_sec=20):
        assert not left.exists()
    assert other.exists()
