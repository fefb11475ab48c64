"""Servers that fail, lie, stall or redirect: only the right file appears, and every failure is one line."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from common.download import connection, http
from common.download.http import download
from common.errors import InputError
from tests.support.stress import cases, record
from tests.support.web.raw_http import Reply, ranged, reply, replying

BODY = bytes(range(256)) * 40
SHA256 = hashlib.sha256(BODY).hexdigest()
PAGE = b"<!DOCTYPE html><html><body>Sign in to the airport's network</body></html>"
Handler = BaseHTTPRequestHandler


def fail(url: str, dest: Path, **checks: str | int) -> str:
    """Download, which must fail in one line and leave no file, within ten seconds. Return the line."""
    started = time.monotonic()
    with pytest.raises((InputError, OSError)) as caught:
        download(f"{url}/file", dest, **checks)  # type: ignore[arg-type]
    assert not dest.exists()
    assert time.monotonic() - started < 10
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def redirect(location: str, status: str = "302 Found") -> bytes:
    return reply(status=status, Location=location)


WRONG_REPLIES: dict[str, tuple[list[Reply], str]] = {
    "404": ([reply(PAGE, "404 Not Found")], "HTTP 404 Not Found; the file may have moved"),
    "401": ([reply(PAGE, "401 Unauthorized")], "needs a login"),
    "403": ([reply(PAGE, "403 Forbidden")], "does not give it to everyone"),
    "500 for ever": ([reply(PAGE, "500 Internal Server Error")], "HTTP 500 .*; check the network and run again"),
    "202, ask later": ([reply(b"queued", "202 Accepted")], "HTTP 202 Accepted instead of the file"),
    "204, nothing": ([reply(status="204 No Content")], "HTTP 204 No Content instead of the file"),
    "wait an hour": ([reply(status="429 Too Many Requests", Retry_After="3600")], "run again in 3600 s"),
    "empty": ([reply()], "content is empty"),
    "a page instead": ([reply(PAGE, Content_Type="text/html; charset=utf-8")], "content is a web page"),
    "a page of unknown type": ([reply(PAGE)], "content is a web page"),
    "compressed though not asked": ([reply(b"\x1f\x8b8", Content_Encoding="gzip")], r"compressed \(gzip\)"),
    "cut short, always": ([reply(BODY[:99], Content_Length="10240")], "ended after 99 of 10240 bytes"),
    "not HTTP": ([b"SSH-2.0-OpenSSH_9.6\r\n"], "SSH-2.0-OpenSSH_9.6"),
    "hangs up": ([b""], "without response"),
    "endless headers": ([b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500], "more than 100 headers"),
    "a long header": ([b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000], "got more than 65536 bytes"),
    "a broken chunk": ([reply(b"zz\r\nabc", length=False, Transfer_Encoding="chunked")], "IncompleteRead"),
    "a negative chunk": ([reply(b"-5\r\nabc", length=False, Transfer_Encoding="chunked")], "IncompleteRead|chunk"),
    "another part than asked for": (
        [reply(BODY[:100], "206 Partial Content", Content_Range="bytes 0-99/10240")],
        "another part of the file",
    ),
    "a part without its place": ([reply(BODY[:100], "206 Partial Content")], "another part of the file"),
    "refused without a range": ([reply(status="416 Range Not Satisfiable")], "HTTP 416"),
    "redirected in a circle": ([redirect("/file")], "redirects in a circle"),
    "redirected to nowhere": ([reply(status="302 Found")], "redirects to nowhere"),
    "redirected to a file": ([redirect("file:///etc/passwd")], "file:///etc/passwd, which is not an http"),
    "redirected to FTP": ([redirect("ftp://127.0.0.1/file")], "which is not an http:// or https:// address"),
    "redirected to data": ([redirect("data:,hello")], "which is not an http:// or https:// address"),
    "redirected to a bad address": ([redirect("http://[::1/file")], "which is not a valid address"),
    "redirected to a bad port": ([redirect("http://127.0.0.1:99999/file")], "which is not a valid address"),
}


@pytest.mark.parametrize("name", WRONG_REPLIES)
def test_replies_that_are_not_the_file(name: str, tmp_path: Path) -> None:
    replies, message = WRONG_REPLIES[name]
    with replying(*replies) as site:
        line = fail(site.url, tmp_path / "file")
        assert site.url in line
        assert re.search(message, line), line
        assert len(site.requests) <= connection.REDIRECTS + http.ATTEMPTS
        fail(site.url, tmp_path / "file", sha256=SHA256)


def endless(handler: Handler) -> None:
    handler.wfile.write(reply(length=False))
    for _ in range(3000):
        handler.wfile.write(bytes(100_000))


def test_a_body_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_BYTES", 5_000_000)
    with replying(endless) as site:
        assert "sends more than 5000000 bytes" in fail(site.url, tmp_path / "file")
        assert "sends more than 4000 bytes" in fail(site.url, tmp_path / "file", size=4000)
    assert list(tmp_path.iterdir()) == []


def test_the_body_of_a_redirect_is_not_read(tmp_path: Path) -> None:
    def endless_redirect(handler: Handler) -> None:
        handler.wfile.write(reply(status="302 Found", length=False, Location="/other"))
        for _ in range(3000):
            handler.wfile.write(bytes(100_000))

    started = time.monotonic()
    with replying(endless_redirect, reply(BODY)) as site:
        download(f"{site.url}/file", tmp_path / "file", sha256=SHA256)
    assert time.monotonic() - started < 5


def trickle(first: bytes, rest: bytes) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.wfile.write(first)
        for index in range(len(rest)):
            time.sleep(0.02)
            handler.wfile.write(rest[index : index + 1])

    return answer


@pytest.mark.medium
@pytest.mark.parametrize(
    "slow",
    [
        trickle(reply(Content_Length="10240"), BODY[:400]),
        trickle(b"HTTP/1.1 200 OK\r\n", b"A: " + b"b" * 400),
        trickle(reply(length=False, Transfer_Encoding="chunked"), b"400\r\n" + BODY[:400]),
        lambda handler: time.sleep(0.5),
    ],
    ids=["body", "headers", "chunks", "silence"],
)
def test_a_server_that_stalls_is_given_up(
    slow: Callable[[Handler], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte every 20 ms never runs into the socket's time-out, so the rate counts as well."""
    monkeypatch.setattr(connection, "TIMEOUT_SEC", 0.1)
    with replying(slow) as site:
        assert re.search("sent only|timed out", fail(site.url, tmp_path / "file"))
    with replying(slow, reply(BODY)) as site:
        download(f"{site.url}/file", tmp_path / "file", sha256=SHA256)


def test_a_slow_server_that_goes_on_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "TIMEOUT_SEC", 0.1)
    monkeypatch.setattr(connection, "STALLED_BYTES", 100)

    def slow(handler: Handler) -> None:
        handler.wfile.write(reply(Content_Length=str(len(BODY))))
        for start in range(0, len(BODY), 512):
            time.sleep(0.03)
            handler.wfile.write(BODY[start : start + 512])

    with replying(slow) as site:
        download(f"{site.url}/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY
    assert len(site.requests) == 1


@pytest.mark.parametrize(("wait", "pause_sec"), [("7", 7), ("0", 0.001), ("soon", 0.001), ("-1", 0.001)])
def test_the_server_may_ask_to_wait(
    wait: str, pause_sec: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(http.time, "sleep", pauses.append)
    with replying(reply(status="429 Too Many Requests", Retry_After=wait), reply(BODY)) as site:
        download(f"{site.url}/file", tmp_path / "file")
    assert pauses == [pause_sec]


@pytest.mark.parametrize("length", ["10240, 10240", "+10240", "ten", "-1", "1e4", "9" * 5000, "", "0x10"])
def test_lengths_that_are_no_numbers(length: str, tmp_path: Path) -> None:
    with replying(reply(BODY, Content_Length=length)) as site:
        download(f"{site.url}/file", tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_length_that_is_too_short_needs_the_checksum(tmp_path: Path) -> None:
    """A shorter length is the end of the file for HTTP. The checksum shows that it is not."""
    with replying(reply(BODY, Content_Length="100")) as site:
        assert "SHA-256 is" in fail(site.url, tmp_path / "file", sha256=SHA256)
        assert "size is 100 bytes, not 10240" in fail(site.url, tmp_path / "file", size=len(BODY))


def test_a_length_beyond_the_disk_is_refused_at_once(tmp_path: Path) -> None:
    with replying(reply(BODY, Content_Length=str(40 * 10**9))) as site:
        line = fail(site.url, tmp_path / "file")
    assert "MB free; make room" in line or "ended after" in line  # on a disk with so much room
    with replying(reply(BODY, Content_Length=str(10**17))) as site:
        assert "more than 50000000000" in fail(site.url, tmp_path / "file")


def test_redirects_are_followed(tmp_path: Path) -> None:
    with replying(redirect("/a b"), redirect("?c=d", "308 Permanent Redirect"), reply(BODY)) as site:
        download(f"{site.url}/file", tmp_path / "file")
    assert [path for path, _ in site.requests] == ["/file", "/a%20b", "/a%20b?c=d"]


def test_faults_in_any_order(tmp_path: Path) -> None:
    """Random sequences of faults, while the server replaces the file by another version now and then.

    A download that returns has written one version as a whole, with a checksum the right one.
    """
    count = cases(40, 20_000)
    outcomes = {"complete": 0, "refused": 0}
    slowest = 0.0
    for seed in range(count):
        draw = random.Random(seed)
        versions = [draw.randbytes(draw.randint(1, 3000)) for _ in range(2)]
        right = draw.choice(versions)
        faults = [draw.choice(FAULTS) for _ in range(draw.randint(0, 5))]
        checksum = draw.random() < 0.5
        tag = draw.random() < 0.7
        replies = [fault(draw, draw.choice(versions), tag) for fault in faults]
        dest = tmp_path / f"file{seed}"
        with replying(*replies, good(draw, right, tag)) as site:
            for _ in range(20):
                started = time.monotonic()
                line = attempt(f"{site.url}/file", dest, hashlib.sha256(right).hexdigest() if checksum else "")
                slowest = max(slowest, time.monotonic() - started)
                outcomes["refused" if line else "complete"] += 1
                assert "\n" not in line, seed
                assert dest.exists() == (not line), seed
                if not line:
                    break
        assert dest.read_bytes() in ([right] if checksum else versions), seed
        dest.unlink()
    assert list(tmp_path.iterdir()) == []
    assert slowest < 10
    assert min(outcomes.values()) > 0
    record(
        "A download over a faulty network is the whole right file, or it fails in one line",
        count,
        f"{outcomes['complete']} complete, {outcomes['refused']} refused runs, 0 wrong files, slowest {slowest:.2f} s",
    )


def attempt(url: str, dest: Path, sha256: str) -> str:
    """Download a file, and return the message of a failure."""
    try:
        download(url, dest, sha256=sha256)
    except (InputError, OSError) as error:
        return str(error) or "no message"
    return ""


def good(draw: random.Random, body: bytes, tag: bool) -> Reply:
    if draw.random() < 0.3:
        return reply(body)  # without ranges
    return ranged(body, **({"ETag": f'"{hashlib.md5(body).hexdigest()}"'} if tag else {}))


def _cut(draw: random.Random, body: bytes, tag: bool) -> Reply:
    whole = good(draw, body, tag)
    share = draw.random()

    def answer(handler: Handler) -> None:
        sent: list[bytes] = []
        real = handler.wfile
        handler.wfile = type("Buffer", (), {"write": lambda self, data: sent.append(data)})()
        if isinstance(whole, bytes):
            sent.append(whole)
        else:
            whole(handler)
        handler.wfile = real
        content = b"".join(sent)
        # Within the headers, too: without `Content-Length` the end cannot be known, so cut before it or after all.
        head = content.index(b"\r\n\r\n") + 4
        at = int(share * len(content))
        real.write(content[:at] if at >= head or at < content.index(b"\r\n") + 2 else content[:5])

    return answer


def _lying_range(draw: random.Random, body: bytes, tag: bool) -> Reply:
    start = draw.randint(0, len(body))
    return reply(
        body[start:], "206 Partial Content", Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}", ETag='"other"'
    )


FAULTS: list[Callable[[random.Random, bytes, bool], Reply]] = [
    _cut,
    _cut,
    _cut,
    good,
    _lying_range,
    lambda draw, body, tag: reply(PAGE, f"{draw.choice([500, 502, 503, 429, 408])} Busy"),
    lambda draw, body, tag: reply(PAGE, f"{draw.choice([400, 401, 403, 404, 410, 451])} No"),
    lambda draw, body, tag: reply(PAGE, Content_Type="text/html"),
    lambda draw, body, tag: redirect("/file"),
    lambda draw, body, tag: redirect(draw.choice(["file:///etc/passwd", "", "http://[", "ftp://127.0.0.1/"])),
    lambda draw, body, tag: b"",
    lambda draw, body, tag: draw.randbytes(100),
    lambda draw, body, tag: reply(status="416 Range Not Satisfiable", Content_Range=f"bytes */{draw.randint(0, 9)}"),
    lambda draw, body, tag: reply(body, Content_Length=str(len(body) + draw.randint(1, 99))),
    lambda draw, body, tag: reply(body, Content_Encoding="gzip"),
]
