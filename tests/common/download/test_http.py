"""The downloader against a real server on 127.0.0.1 that interrupts, refuses, or sends other bytes."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.download import http as module
from common.download.http import download
from common.errors import InputError
from tests.support.web.local_http import Site, serving

BODY = bytes(range(256)) * 20
SHA256 = hashlib.sha256(BODY).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
ROOT = Path(__file__).parents[3]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("DOWNLOAD_PAUSE_SEC", "0.001")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as site:
        site.files["file"] = BODY
        yield site


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "file"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def part_path(dest: Path) -> Path:
    return dest.with_name(dest.name + ".part")


def test_fetches_and_checks_a_file(site: Site, dest: Path) -> None:
    assert download(f"{site.url}/file", dest, sha256=SHA256.upper(), size=len(BODY)) == dest
    assert dest.read_bytes() == BODY
    assert names(dest.parent) == ["file"]


def test_continues_what_an_earlier_run_left(site: Site, dest: Path) -> None:
    dest.parent.mkdir()
    part_path(dest).write_bytes(BODY[:1000])
    download(f"{site.url}/file", dest, sha256=SHA256)
    assert dest.read_bytes() == BODY
    assert site.requests == [("file", "bytes=1000-")]


def test_begins_again_where_ranges_are_not_honoured(site: Site, dest: Path) -> None:
    site.honour_range = False
    dest.parent.mkdir()
    part_path(dest).write_bytes(BODY[:1000])
    download(f"{site.url}/file", dest)
    assert dest.read_bytes() == BODY


def test_begins_again_where_the_first_part_is_of_another_file(
    site: Site, dest: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dest.parent.mkdir()
    part_path(dest).write_bytes(b"x" * 1000)
    download(f"{site.url}/file", dest, sha256=SHA256)
    assert dest.read_bytes() == BODY
    assert [wanted for _, wanted in site.requests] == ["bytes=1000-", ""]
    assert "after resuming, the SHA-256 is" in caplog.text


def test_a_complete_part_is_not_fetched_again(site: Site, dest: Path) -> None:
    dest.parent.mkdir()
    part_path(dest).write_bytes(BODY)
    download(f"{site.url}/file", dest, sha256=SHA256)
    assert dest.read_bytes() == BODY
    assert [wanted for _, wanted in site.requests] == [f"bytes={len(BODY)}-"]


def test_a_part_that_is_too_long_is_dropped(site: Site, dest: Path) -> None:
    dest.parent.mkdir()
    part_path(dest).write_bytes(BODY + b"more")
    download(f"{site.url}/file", dest)
    assert dest.read_bytes() == BODY


def test_a_broken_connection_is_continued(site: Site, dest: Path) -> None:
    site.cuts = [100, 200, 300, 400, 500, 600]  # more often than ATTEMPTS, but always further
    download(f"{site.url}/file", dest, sha256=SHA256)
    assert dest.read_bytes() == BODY
    assert [wanted for _, wanted in site.requests][:4] == ["", "bytes=100-", "bytes=300-", "bytes=600-"]


def test_a_connection_that_gets_no_further_is_given_up(site: Site, dest: Path) -> None:
    site.honour_range = False
    site.cuts = [100] * 20
    with pytest.raises(OSError, match="ended after 100 of 5120 bytes; check the network and run again"):
        download(f"{site.url}/file", dest)
    assert len(site.requests) == module.ATTEMPTS
    assert not dest.exists()
    assert part_path(dest).stat().st_size == 100  # for the next run


def test_a_body_without_a_length_is_accepted(site: Site, dest: Path) -> None:
    site.announce_length = False
    download(f"{site.url}/file", dest)
    assert dest.read_bytes() == BODY


def test_a_broken_chunked_body_is_continued(site: Site, dest: Path) -> None:
    site.chunked = True
    site.cuts = [1000]
    download(f"{site.url}/file", dest)
    assert dest.read_bytes() == BODY


def test_server_errors_are_tried_again_after_growing_pauses(
    site: Site, dest: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    site.statuses = [500, 429, 0]  # 0: the server hangs up without an answer
    download(f"{site.url}/file", dest)
    assert dest.read_bytes() == BODY
    assert pauses == [0.001, 0.002, 0.004]
    assert "/file: HTTP 429 Too Many Requests; trying again in 0.002 s" in caplog.text


def test_a_missing_file_is_not_tried_again(site: Site, dest: Path) -> None:
    with pytest.raises(OSError, match=r"/nothing: HTTP 404 .*give another address"):
        download(f"{site.url}/nothing", dest)
    assert len(site.requests) == 1
    assert names(dest.parent) == []


def test_a_server_out_of_reach_names_the_address(site: Site, dest: Path) -> None:
    with pytest.raises(OSError, match=r"http://127.0.0.1:1/file: .*refused.*; check the network"):
        download("http://127.0.0.1:1/file", dest)
    assert names(dest.parent) == []


@pytest.mark.parametrize(
    ("checks", "clause"),
    [({"sha256": OTHER}, f"SHA-256 is {SHA256}, not {OTHER}"), ({"size": 7}, "size is 5120 bytes, not 7")],
)
def test_wrong_bytes_leave_nothing(site: Site, dest: Path, checks: dict, clause: str) -> None:
    with pytest.raises(InputError, match=f"/file: the {clause}"):
        download(f"{site.url}/file", dest, **checks)
    assert names(dest.parent) == []
    assert len(site.requests) == 1


def test_an_empty_reply_is_refused(site: Site, dest: Path) -> None:
    site.files["file"] = b""
    with pytest.raises(InputError, match="content is empty"):
        download(f"{site.url}/file", dest)
    assert names(dest.parent) == []


def test_a_file_that_matches_is_kept_without_network(site: Site, dest: Path) -> None:
    download(f"{site.url}/file", dest, sha256=SHA256)
    site.requests.clear()
    for checks in ({"sha256": SHA256}, {"sha256": SHA256, "force": True}, {"size": len(BODY)}, {}):
        download(f"{site.url}/file", dest, **checks)
    assert site.requests == []
    download(f"{site.url}/file", dest, force=True)  # nothing to compare with: fresh bytes
    assert len(site.requests) == 1


@pytest.mark.parametrize("content", [b"mine", b""])
def test_a_file_that_does_not_match_is_replaced_only_by_force(site: Site, dest: Path, content: bytes) -> None:
    dest.parent.mkdir()
    dest.write_bytes(content)
    with pytest.raises(InputError, match=r"exists already but its .*--force"):
        download(f"{site.url}/file", dest, sha256=SHA256)
    assert (dest.read_bytes(), site.requests) == (content, [])
    download(f"{site.url}/file", dest, sha256=SHA256, force=True)
    assert dest.read_bytes() == BODY


def test_a_folder_in_the_way_is_named(site: Site, dest: Path) -> None:
    dest.mkdir(parents=True)
    with pytest.raises(InputError, match="is not a file"):
        download(f"{site.url}/file", dest, force=True)


@pytest.mark.parametrize(
    ("url", "sha256", "message"),
    [
        ("file:///etc/hostname", "", "not an http:// or https:// address"),
        ("ftp://127.0.0.1/file", "", "not an http:// or https:// address"),
        ("http://[1/file", "", "not a valid address"),
        ("http://127.0.0.1:x/file", "", "not a valid address"),
        ("http://127.0.0.1/file", "123", "64 hexadecimal digits"),
    ],
)
def test_malformed_arguments_are_refused(dest: Path, url: str, sha256: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        download(url, dest, sha256=sha256)


def test_two_downloads_of_one_file_do_not_mix(site: Site, dest: Path) -> None:
    dest.parent.mkdir()
    with part_path(dest).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another download of this file is running"):
            download(f"{site.url}/file", dest)
    assert site.requests == []


@pytest.mark.parametrize(("terminal", "shown"), [(True, "\r1.5 of 3.0 MB\r\033[K"), (False, "1.5 of 3.0 MB\n")])
def test_progress_is_one_line_on_a_terminal_and_rare_elsewhere(
    terminal: bool, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    progress = module._Progress(3_000_000)
    progress.show(500_000)  # not due yet
    progress.due = 0.0
    progress.show(1_500_000)
    progress.show(1_600_000)
    progress.close()
    assert capsys.readouterr().err == shown


def test_progress_follows_the_download(site: Site, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []

    class Recorder:
        def __init__(self, total: int | None) -> None:
            shown.append(total)

        def show(self, done: int) -> None:
            shown.append(done)

        def close(self) -> None:
            shown.append("closed")

    monkeypatch.setattr(module, "_Progress", Recorder)
    monkeypatch.setattr(module, "CHUNK_BYTES", 2000)
    download(f"{site.url}/file", dest)
    assert shown == [5120, 2000, 4000, 5120, "closed"]


def run_program(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "common.download.http", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)


def test_the_program_downloads(site: Site, dest: Path) -> None:
    done = run_program(f"{site.url}/file", dest, "--sha256", SHA256, "--size", str(len(BODY)))
    assert (done.returncode, dest.read_bytes()) == (0, BODY), done.stderr
    assert "checksum verified" in done.stderr


def test_the_program_fails_with_one_line(site: Site, dest: Path) -> None:
    done = run_program(f"{site.url}/file", dest, "--sha256", OTHER)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"common.download.http: error: {site.url}/file: the SHA-256 is {SHA256}")
    assert not dest.exists()


def test_the_program_refuses_what_is_in_the_way_unless_forced(site: Site, dest: Path) -> None:
    dest.parent.mkdir()
    dest.write_bytes(b"mine")
    assert run_program(f"{site.url}/file", dest, "--sha256", SHA256).returncode == 1
    assert dest.read_bytes() == b"mine"
    assert run_program(f"{site.url}/file", dest, "--sha256", SHA256, "--force").returncode == 0
    assert dest.read_bytes() == BODY
