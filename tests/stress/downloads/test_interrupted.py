"""Downloads that are killed, run twice at once, or meet a full or read-only disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from common.download.http import download
from common.errors import InputError
from tests.support.paths import REPOSITORY
from tests.support.stress import cases, record
from tests.support.web.raw_http import Reply, ranged, reply, replying

BODY = random.Random(0).randbytes(600_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
OTHER = random.Random(1).randbytes(600_000)
Handler = BaseHTTPRequestHandler


def start(url: str, dest: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "common.download.http", url, str(dest), *arguments]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def slowly(answer: Reply, seconds: float) -> Reply:
    """Stretch a reply over a time, so that it can be interrupted."""

    class Slow:
        def __init__(self, real: object) -> None:
            self.real = real

        def write(self, data: bytes) -> None:
            for at in range(0, len(data), 20_000):
                self.real.write(data[at : at + 20_000])  # type: ignore[attr-defined]
                time.sleep(seconds * 20_000 / len(BODY))

    def send(handler: Handler) -> None:
        handler.wfile = Slow(handler.wfile)  # type: ignore[assignment]
        assert callable(answer)
        answer(handler)

    return send


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again(tmp_path: Path) -> None:
    """With ranges, without, and with another version on the server after each kill."""
    count = cases(6, 300)
    kept = 0
    for seed in range(count):
        draw = random.Random(seed)
        dest = tmp_path / f"file{seed}"
        tagged, changing, verified = draw.random() < 0.7, draw.random() < 0.4, draw.random() < 0.5
        bodies = [OTHER if changing else BODY, BODY]
        replies = [ranged(body, **({"ETag": f'"{body[:8].hex()}"'} if tagged else {})) for body in bodies]
        arguments = ("--sha256", SHA256) if verified else ()
        with replying(slowly(replies[0], 0.3)) as site:
            process = start(f"{site.url}/file", dest, *arguments)
            deadline = time.monotonic() + 20
            while not site.requests and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(draw.uniform(0, 0.35))
            process.send_signal(draw.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
            process.communicate()
        if dest.exists():  # the signal came after the end
            assert dest.read_bytes() == (BODY if verified else bodies[0]), seed
            continue
        part = dest.with_name(dest.name + ".part")
        before = part.stat().st_size if part.exists() else 0
        with replying(replies[1]) as site:
            download(f"{site.url}/file", dest, sha256=SHA256 if verified else "")
        assert dest.read_bytes() == BODY, seed
        kept += before > 0 and any("range" in headers for _, headers in site.requests)
        dest.unlink()
    assert kept
    record("A killed download goes on, and never joins two versions", count, f"0 wrong files, {kept} continued")


def test_parts_of_two_addresses_are_not_joined(tmp_path: Path) -> None:
    tag = {"ETag": '"same"'}
    (tmp_path / "file.part").write_bytes(OTHER[:1000])
    with replying(ranged(BODY, **tag)) as site:
        (tmp_path / "file.part.json").write_text(f'{{"url": "{site.url}/old", "name": "\\"same\\""}}')
        download(f"{site.url}/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_server_that_ignores_the_condition(tmp_path: Path) -> None:
    """It continues another version than the one that the first part belongs to."""
    place = f"bytes 1000-{len(BODY) - 1}/{len(BODY)}"
    wrong = reply(BODY[1000:], "206 Partial Content", Content_Range=place, ETag='"new"')
    for record_name in ('"old"', ""):
        (tmp_path / "file.part").write_bytes(OTHER[:1000])
        with replying(wrong, ranged(BODY, ETag='"new"')) as site:
            if record_name:
                (tmp_path / "file.part.json").write_text(f'{{"url": "{site.url}/file", "name": "\\"old\\""}}')
            download(f"{site.url}/file", tmp_path / "file", force=True)
        assert (tmp_path / "file").read_bytes() == BODY


@pytest.mark.slow
@pytest.mark.alone
def test_two_at_once(tmp_path: Path) -> None:
    """Several processes for one file: each ends with the whole file, or says that another one is at work."""
    count = cases(2, 100)
    statuses = {0: 0, 1: 0}
    for seed in range(count):
        draw = random.Random(seed)
        dest = tmp_path / f"file{seed}"
        with replying(slowly(ranged(BODY, ETag='"1"'), draw.choice([0.0, 0.02, 0.2]))) as site:
            processes = []
            for _ in range(4):
                processes.append(start(f"{site.url}/file", dest, *(("--sha256", SHA256) if seed % 2 else ())))
                time.sleep(draw.uniform(0, 0.1))
            for process in processes:
                _, said = process.communicate(timeout=60)
                statuses[process.returncode] += 1
                assert process.returncode == 0 or "another download of this file is running" in said, said
                assert "Traceback" not in said
        assert dest.read_bytes() == BODY, seed
        dest.unlink()
    assert list(tmp_path.iterdir()) == []
    record("Several downloads of one file at once", count, f"{statuses[0]} complete, {statuses[1]} refused, 0 damaged")


def test_a_download_that_another_process_finished_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file appears between the first look and the lock: it is taken, not fetched again or truncated."""
    from common.download import http

    real = http.open_locked

    @contextlib.contextmanager
    def late(path: Path, busy: str) -> Iterator[object]:
        (tmp_path / "file").write_bytes(BODY)
        with real(path, busy) as file:
            yield file

    monkeypatch.setattr(http, "open_locked", late)
    with replying(reply(OTHER)) as site:
        download(f"{site.url}/file", tmp_path / "file")
    assert site.requests == []
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == BODY


@contextlib.contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Let each write beyond a file size fail, as a full disk does."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_at_any_byte(tmp_path: Path) -> None:
    """The message names the file. With room again, the same command goes on where it stopped."""
    count = cases(10, 500)
    dest = tmp_path / "file"
    for seed in range(count):
        size = random.Random(seed).randint(0, len(BODY) - 1)
        with replying(ranged(BODY, ETag='"1"')) as site:
            with file_limit(size), pytest.raises(OSError, match=r"File too large.*file\.part"):
                download(f"{site.url}/file", dest)
            assert not dest.exists()
            download(f"{site.url}/file", dest)
        assert dest.read_bytes() == BODY
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
        if size > 200:
            assert "range" in site.requests[-1][1]
        dest.unlink()
    record("A full disk at any byte of a download: one line, and the next run goes on", count, "0 wrong files")


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("announced", [True, False])
def test_a_small_disk(announced: bool, tmp_path: Path) -> None:
    message = r"0\.6 MB are missing, but the disk has only .* make room" if announced else "No space left.*make room"
    with mounted(tmp_path / "disk", "size=200k"), replying(reply(BODY, length=announced)) as site:
        with pytest.raises(OSError, match=message):
            download(f"{site.url}/file", tmp_path / "disk" / "file")
        assert not (tmp_path / "disk" / "file").exists()
        subprocess.run(["mount", "-o", "remount,size=4m", tmp_path / "disk"], check=True)
        download(f"{site.url}/file", tmp_path / "disk" / "file", sha256=SHA256)


def test_a_read_only_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, "size=4m"), replying(reply(BODY)) as site:
        (disk / "there").write_bytes(BODY)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        download(f"{site.url}/file", disk / "there", sha256=SHA256)
        assert site.requests == []
        for dest in (disk / "file", disk / "folder" / "file"):
            with pytest.raises(OSError, match=r"Read-only file system: .*disk/f"):
                download(f"{site.url}/file", dest)


@pytest.mark.parametrize("kind", ["folder", "fifo", "link"])
def test_other_things_in_place_of_the_part(kind: str, tmp_path: Path) -> None:
    part, victim = tmp_path / "file.part", tmp_path / "victim"
    victim.write_bytes(b"precious")
    if kind == "folder":
        part.mkdir()
    elif kind == "fifo":
        os.mkfifo(part)
    else:
        part.symlink_to(victim)
    with replying(reply(BODY)) as site, pytest.raises((OSError, InputError), match=r"file\.part"):
        download(f"{site.url}/file", tmp_path / "file")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("value", ["", "0.001", "soon", "-1", "nan", "inf", "1e9"])
def test_pauses_from_the_environment(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOWNLOAD_PAUSE_SEC", value)
    with replying(reply(BODY)) as site:
        if value in ("", "0.001"):
            download(f"{site.url}/file", tmp_path / "file")
        else:
            with pytest.raises(InputError, match=r"DOWNLOAD_PAUSE_SEC: .* is not a number of seconds from 0 to 60"):
                download(f"{site.url}/file", tmp_path / "file")


def count_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_threads_end_with_their_downloads(tmp_path: Path) -> None:
    before = threading.active_count()
    with replying(reply(BODY)) as site:
        for number in range(20):
            download(f"{site.url}/file", tmp_path / f"file{number}")
        descriptors = count_descriptors()
        for number in range(20, 40):
            download(f"{site.url}/file", tmp_path / f"file{number}")
        assert count_descriptors() <= descriptors + 2
    assert threading.active_count() <= before + 3
