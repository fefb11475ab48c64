"""A small HTTP server on 127.0.0.1 whose faults a test chooses."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """The server's files, its faults, and the requests so far."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    honour_range: bool = True
    announce_length: bool = True
    chunked: bool = False
    statuses: list[int] = field(default_factory=list)  # sent before any file, one per request. 0 hangs up
    cuts: list[int] = field(default_factory=list)  # bytes after which a body is cut, one per request
    requests: list[tuple[str, str]] = field(default_factory=list)  # (path, Range header)


@contextlib.contextmanager
def serving() -> Iterator[Site]:
    """Run the server during the `with` block."""
    site = Site()
    with listening(lambda handler: _answer(handler, site)) as site.url:
        yield site


@contextlib.contextmanager
def listening(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Answer GET, HEAD and POST requests during the `with` block. Yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_HEAD = do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _answer(handler: BaseHTTPRequestHandler, site: Site) -> None:
    path, wanted = handler.path.lstrip("/"), handler.headers.get("Range", "")
    site.requests.append((path, wanted))
    status = site.statuses.pop(0) if site.statuses else 200
    if not status:
        return
    if status != 200 or path not in site.files:
        handler.send_error(status if status != 200 else 404)
        return
    body = whole = site.files[path]
    if wanted and site.honour_range:
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
        if start >= len(whole):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(whole)}")
            handler.end_headers()
            handler.wfile.write(b"a page that explains the error")
            return
        body = whole[start:]
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
    else:
        handler.send_response(200)
    handler.send_header("Content-Type", "text/html" if path.endswith("/") else "application/octet-stream")
    if site.chunked:
        handler.send_header("Transfer-Encoding", "chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    elif site.announce_length:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: site.cuts.pop(0)] if site.cuts else body)
