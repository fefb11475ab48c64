"""A hub whose replies have the wrong shape: one line, and nothing outside the cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from common.download.hub import HubOptions, fetch_model
from common.errors import InputError
from tests.support.stress import record
from tests.support.web.raw_http import Reply, reply, replying

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = ("config.json", "model.safetensors", "README.md")


def as_json(content: object) -> bytes:
    return reply(json.dumps(content).encode(), Content_Type="application/json")


def description(**changes: object) -> dict[str, object]:
    siblings = [{"rfilename": name} for name in FILES]
    return {"id": "org/name", "modelId": "org/name", "sha": COMMIT, "siblings": siblings, "tags": [], **changes}


def hub(described: Reply, file: Reply | None = None, etag: str = '"abc"') -> Reply:
    """Return a reply that describes the repository, or sends one of its files."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if "/resolve/" in handler.path:
            content = file or reply(b"{}", ETag=etag, X_Repo_Commit=COMMIT)
        else:
            content = described
        if callable(content):
            content(handler)
        elif handler.command == "HEAD":
            handler.wfile.write(content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        else:
            handler.wfile.write(content)

    return answer


REPLIES: dict[str, Reply] = {
    "no JSON": hub(reply(b"<html>sign in</html>", Content_Type="text/html")),
    "a list": hub(as_json([])),
    "a number": hub(as_json(3)),
    "null": hub(as_json(None)),
    "an empty object": hub(as_json({})),
    "no commit": hub(as_json(description(sha=None))),
    "a commit that is a number": hub(as_json(description(sha=7))),
    "a commit elsewhere": hub(as_json(description(sha="../../../outside"))),
    "an absolute commit": hub(as_json(description(sha="/tmp/outside"))),
    "files that are numbers": hub(as_json(description(siblings=[1, 2]))),
    "files without names": hub(as_json(description(siblings=[{}]))),
    "files elsewhere": hub(as_json(description(siblings=[{"rfilename": "../../../../outside/config.json"}]))),
    "an absolute file": hub(as_json(description(siblings=[{"rfilename": "/tmp/outside/config.json"}]))),
    "deep JSON": hub(reply(b"[" * 100_000, Content_Type="application/json")),
    "cut short": hub(reply(json.dumps(description()).encode()[:40], Content_Length="400")),
    "500": hub(reply(b"", "500 Internal Server Error")),
    "429": hub(reply(b"", "429 Too Many Requests")),
    "404": hub(reply(b"", "404 Not Found")),
    "a file without a version": hub(as_json(description()), reply(b"{}")),
    "a version elsewhere": hub(as_json(description()), etag='"../../../../outside/blob"'),
    "an absolute version": hub(as_json(description()), etag='"/tmp/outside/blob"'),
    "a file cut short": hub(
        as_json(description()), reply(b"{", ETag='"abc"', X_Repo_Commit=COMMIT, Content_Length="900")
    ),
    "a file that is a page": hub(as_json(description()), reply(b"<html>", ETag='"abc"', X_Repo_Commit=COMMIT)),
    "a redirected file": hub(as_json(description()), reply(status="302 Found", Location="file:///etc/passwd")),
    "a redirect in a circle": hub(reply(status="302 Found", Location="/api/models/org/name/revision/main")),
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the minutes of pauses that the package takes between its attempts."""
    import time

    monkeypatch.setattr(time, "sleep", lambda seconds: None)


@pytest.mark.slow
@pytest.mark.parametrize("name", REPLIES)
def test_replies_of_the_wrong_shape(name: str, tmp_path: Path, use_hub: Callable[[str], None]) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with replying(REPLIES[name]) as site:
        use_hub(site.url)
        with pytest.raises((OSError, InputError)) as caught:
            fetch_model("org/name", "generator", HubOptions(cache_dir=tmp_path / "a" / "b" / "cache"))
    assert "org/name" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(outside.iterdir()) == []
    assert not Path("/tmp/outside").exists()
    found = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert all(path.is_relative_to(tmp_path / "a" / "b" / "cache") for path in found), found
    record("Replies of a hub with the wrong shape", len(REPLIES), "one line each, nothing outside the cache")
