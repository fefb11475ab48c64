"""Open an address over HTTP(S): harmless redirects, servers that stall, and failures worth another attempt."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import io
import ipaddress
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from common.errors import InputError

TIMEOUT_SEC = 60.0
STALLED_BYTES = 4096  # a server that sends less within TIMEOUT_SEC has stalled
REDIRECTS = 10
LONGEST_WAIT_SEC = 120.0  # that a server may ask for with Retry-After

Reply = http.client.HTTPResponse | urllib.error.HTTPError


class Interrupted(Exception):
    """A failure that is worth another attempt.

    Attributes:
        wait_sec: pause that the server asked for.
    """

    def __init__(self, message: str, wait_sec: float = 0.0) -> None:
        super().__init__(message)
        self.wait_sec = wait_sec


def check_address(url: str) -> None:
    """Refuse an address that is not one of a web server.

    Raises:
        InputError: neither http:// nor https://, or malformed.
    """
    if not re.match(r"https?://[^/]", url, re.IGNORECASE):
        raise InputError(f"{url}: not an http:// or https:// address")
    try:
        _ = urllib.parse.urlsplit(url).port
    except ValueError as error:
        raise InputError(f"{url}: not a valid address ({error})") from error


def open_url(url: str, headers: dict[str, str]) -> Reply:
    """Send a GET request and return the reply, of status 200, 206, or 416 to a request with a range.

    Redirects are followed, except to other schemes, from https:// to http://, and from a public to a private address.

    Raises:
        Interrupted: a failure that is worth another attempt.
        InputError: a malformed address, or a redirect that is refused.
        OSError: another attempt would fail, too.
    """
    address = url
    for _ in range(REDIRECTS + 1):
        reply = _send(address, headers, url)
        if reply.status not in (301, 302, 303, 307, 308):
            return reply
        with reply:  # its body is not read: it may be endless
            address = _next_address(url, address, reply.headers.get("Location", ""))
    raise OSError(f"{url}: the server redirects in a circle; give another address")


def _next_address(url: str, address: str, location: str) -> str:
    """Return the address that a redirect leads to, if it is harmless."""
    if not location:
        raise OSError(f"{url}: the server redirects to nowhere; give another address")
    # http.client decodes headers as Latin-1. Restore the bytes and quote what an address cannot contain.
    location = urllib.parse.quote(location, encoding="latin-1", safe="%/:=&?~#+!$,;'@()*[]")
    target = location
    try:
        target = urllib.parse.urljoin(address, location)
        before, after = urllib.parse.urlsplit(address), urllib.parse.urlsplit(target)
        _ = after.port  # raises ValueError: the system would take 99999 modulo 65536
        if after.scheme not in ("http", "https") or not after.hostname:
            reason = "is not an http:// or https:// address"
        elif (before.scheme, after.scheme) == ("https", "http"):
            reason = "is not encrypted"
        elif _is_private(after.hostname) and not _is_private(before.hostname or ""):
            reason = "lies in a private network"
        else:
            return target
    except ValueError as error:
        reason = f"is not a valid address ({error})"
    raise InputError(f"{url}: the server redirects to {target}, which {reason}; give another address")


def _is_private(host: str) -> bool:
    """Return whether a host is this machine, or one in a private network. An unknown name is not."""
    try:
        found = {host} if _is_literal(host) else {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return any(not ipaddress.ip_address(item.partition("%")[0]).is_global for item in found)


def _is_literal(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(host.partition("%")[0]))
    return False


def _send(address: str, headers: dict[str, str], url: str) -> Reply:
    """Send one request. Redirects are returned like other replies."""
    try:
        request = urllib.request.Request(address, headers=headers)
        reply: Reply = _make_opener().open(request, timeout=TIMEOUT_SEC)
    except urllib.error.HTTPError as error:
        if 300 <= error.code < 400 or (error.code == 416 and "Range" in headers):
            return error
        with error:
            _refuse(url, error)
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise OSError(
                f"{url}: the server's certificate is not valid here ({error.reason.verify_message}); if your network "
                "replaces certificates, set SSL_CERT_FILE to a file with its own"
            ) from error
        if str(error.reason).startswith("unknown url type"):
            raise InputError(f"{url}: {error.reason}, in {_name_proxy(address)}; give an http:// proxy") from error
        raise Interrupted(f"{error.reason}{_through_proxy(address)}") from error
    except (ValueError, http.client.InvalidURL) as error:
        raise InputError(f"{url}: not a valid address ({error}){_through_proxy(address)}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Interrupted(f"{_describe(error)}{_through_proxy(address)}") from error
    if reply.status not in (200, 206):
        with reply:
            raise OSError(f"{url}: HTTP {reply.status} {reply.reason} instead of the file; try again later")
    return reply


def _refuse(url: str, error: urllib.error.HTTPError) -> None:
    reason = " ".join(str(error.reason).split())[:100]
    message = f"HTTP {error.code} {reason}"
    if error.code >= 500 or error.code in (408, 425, 429):
        wait_sec = _parse_wait(error.headers.get("Retry-After", ""))
        if wait_sec > LONGEST_WAIT_SEC:
            raise OSError(f"{url}: {message}; the server asks to wait, so run again in {wait_sec:.0f} s") from error
        raise Interrupted(message, wait_sec) from error
    remedy = {
        401: "it needs a login: give another address",
        403: "the server does not give it to everyone: give another address",
        407: f"{_name_proxy(url)} needs a login",
    }.get(error.code, "the file may have moved: give another address")
    raise OSError(f"{url}: {message}; {remedy}") from error


def _parse_wait(value: str) -> float:
    """Return the seconds that `Retry-After` asks for, given as a number or a date. 0 if it asks for nothing."""
    if re.fullmatch(r"\d{1,9}", value.strip(), re.ASCII):
        return float(value)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return 0.0


def _name_proxy(url: str) -> str:
    """Return the name of the environment variable with the proxy for an address, "" if it has none."""
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        if urllib.request.getproxies().get(parts.scheme) and not urllib.request.proxy_bypass(parts.hostname or ""):
            return f"{parts.scheme}_proxy"
    return ""


def _through_proxy(url: str) -> str:
    proxy = _name_proxy(url)
    return f" (through the proxy in {proxy})" if proxy else ""


def _describe(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def read_some(reply: Reply, count: int) -> bytes:
    """Return the bytes of a body that have arrived, at most `count`, or b"" at its end.

    Raises:
        Interrupted: the connection broke, or the server has stalled.
    """
    try:
        return reply.read1(count) if isinstance(reply, http.client.HTTPResponse) else reply.read(count)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Interrupted(_describe(error)) from error


def _make_opener() -> urllib.request.OpenerDirector:
    """Return an opener for HTTP(S) alone, which uses the proxies of the environment and follows no redirects."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        _HTTPHandler(),
        _HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


class _Watched(io.RawIOBase):
    """A socket's stream that fails when the server sends too little, whether headers or body."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.since, self.received = time.monotonic(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self.raw.readinto(buffer)
        self.received += count or 0
        elapsed = time.monotonic() - self.since
        if count and elapsed >= TIMEOUT_SEC:
            if self.received < STALLED_BYTES:
                raise TimeoutError(f"the server sent only {self.received} bytes in {elapsed:.0f} s")
            self.since, self.received = time.monotonic(), 0
        return count

    def close(self) -> None:
        self.raw.close()
        super().close()


class _WatchedResponse(http.client.HTTPResponse):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stream: Any = self.fp
        self.fp = io.BufferedReader(_Watched(stream.detach()))


class _HTTPConnection(http.client.HTTPConnection):
    response_class = _WatchedResponse


class _HTTPSConnection(http.client.HTTPSConnection):
    response_class = _WatchedResponse


class _HTTPHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_HTTPConnection, req)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_HTTPSConnection, req)
