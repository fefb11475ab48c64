"""Where a download may lead, and which failures are worth another attempt."""

from __future__ import annotations

import email.utils
import time

import pytest

from common.download import connection
from common.download.connection import Interrupted, check_address, open_url
from common.errors import InputError
from tests.support.web.raw_http import reply, replying


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/file", "http:/host", "http:///file", "host/file", ""]
)
def test_only_addresses_of_web_servers_are_opened(url: str) -> None:
    with pytest.raises(InputError, match="not an http:// or https:// address"):
        check_address(url)
    check_address("HTTPS://host/file")


@pytest.mark.parametrize(
    ("address", "location", "result"),
    [
        ("https://8.8.8.8/a/b", "c", "https://8.8.8.8/a/c"),
        ("https://8.8.8.8/a", "//1.1.1.1/b", "https://1.1.1.1/b"),
        ("https://8.8.8.8/a", "http://1.1.1.1/b", "is not encrypted"),
        ("http://8.8.8.8/a", "https://1.1.1.1/b", "https://1.1.1.1/b"),
        ("http://8.8.8.8/a", "http://127.0.0.1/b", "lies in a private network"),
        ("http://8.8.8.8/a", "http://localhost:9/b", "lies in a private network"),
        ("http://8.8.8.8/a", "http://169.254.169.254/latest/meta-data", "lies in a private network"),
        ("http://8.8.8.8/a", "http://10.0.0.1/b", "lies in a private network"),
        ("http://8.8.8.8/a", "http://[::1]/b", "lies in a private network"),
        ("http://8.8.8.8/a", "http://[::ffff:127.0.0.1]/b", "lies in a private network"),
        ("http://10.0.0.1/a", "http://192.168.0.1/b", "http://192.168.0.1/b"),
        ("http://8.8.8.8/a", "gopher://8.8.8.8/b", "is not an http:// or https:// address"),
        ("http://8.8.8.8/a", "/\xc3\xa4 b", "http://8.8.8.8/%C3%A4%20b"),
    ],
)
def test_redirects(address: str, location: str, result: str) -> None:
    if result.startswith("http"):
        assert connection._next_address("url", address, location) == result
    else:
        with pytest.raises(InputError, match=f"^url: the server redirects to .*, which {result}; give another"):
            connection._next_address("url", address, location)


@pytest.mark.parametrize(
    ("value", "wait_sec"), [("7", 7), ("", 0), ("-7", 0), ("soon", 0), ("9" * 30, 0), ("\u0663", 0)]
)
def test_pauses_that_servers_ask_for(value: str, wait_sec: float) -> None:
    assert connection._parse_wait(value) == wait_sec


def test_pauses_until_a_date() -> None:
    assert connection._parse_wait(email.utils.formatdate(time.time() + 60, usegmt=True)) == pytest.approx(60, abs=2)
    assert connection._parse_wait(email.utils.formatdate(0, usegmt=True)) == 0


def test_failures_worth_another_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with replying(reply(status="503 Busy", Retry_After="3"), reply(status="404 No\x0bwhere")) as site:
        with pytest.raises(Interrupted, match="HTTP 503 Busy") as caught:
            open_url(site.url, {})
        assert caught.value.wait_sec == 3
        with pytest.raises(OSError, match="HTTP 404 No where; the file may have moved"):
            open_url(site.url, {})


def test_the_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:1")
    with pytest.raises(Interrupted, match=r"refused \(through the proxy in http_proxy\)") as caught:
        open_url("http://example.invalid/file", {})
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(InputError, match="unknown url type: socks5, in http_proxy; give an http:// proxy"):
        open_url("http://example.invalid/file", {})
