"""A server on 127.0.0.1 that sends exactly the bytes that a test gives, however wrong they are."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.web.local_http import listening

Reply = bytes | Callable[[BaseHTTPRequestHandler], None]


@dataclass
class RawSite:
    """The server's replies and the requests so far.

    Attributes:
        url: address.
        replies: one per request, the last one for all that follow.
        requests: path and headers of each request. Header names are in lower case.
    """

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@contextlib.contextmanager
def replying(*replies: Reply) -> Iterator[RawSite]:
    """Run the server during the `with` block."""
    site = RawSite(replies=list(replies))
    lock = threading.Lock()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        with lock:
            headers = {key.lower(): value for key, value in handler.headers.items()}
            site.requests.append((handler.path, headers))
            reply = site.replies.pop(0) if len(site.replies) > 1 else site.replies[0]
        handler.close_connection = True
        with contextlib.suppress(OSError):  # the client may hang up
            if isinstance(reply, bytes):
                handler.wfile.write(reply)
            else:
                reply(handler)

    with listening(answer) as site.url:
        yield site


def reply(body: bytes = b"", status: str = "200 OK", length: bool = True, **headers: str) -> bytes:
    """Return the bytes of a reply. `_` in names of headers stands for `-`."""
    lines = [f"HTTP/1.1 {status}", *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items())]
    if length and "Content_Length" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def ranged(body: bytes, **headers: Any) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return a reply that honours `Range` and, if there is an `ETag`, `If-Range`."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        wanted, condition = handler.headers.get("Range", ""), handler.headers.get("If-Range", "")
        named = (headers.get("ETag", ""), headers.get("Last_Modified", ""), "")
        if not wanted or condition not in named:
            handler.wfile.write(reply(body, **headers))
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            handler.wfile.write(reply(status="416 Range Not Satisfiable", Content_Range=f"bytes */{len(body)}"))
            return
        place = f"bytes {start}-{len(body) - 1}/{len(body)}"
        handler.wfile.write(reply(body[start:], "206 Partial Content", Content_Range=place, **headers))

    return answer
