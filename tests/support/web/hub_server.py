"""An imitation of the Hugging Face hub on 127.0.0.1: just the requests of downloads and uploads."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.support.web.local_http import listening

Files = dict[str, bytes]


@dataclass
class Hub:
    """The hub's repositories, each a list of commits, and its log.

    Attributes:
        url: address.
        repositories: org/name -> contents after each commit, the newest last.
        requests: method and path of each request.
        gated: names that need permission.
        private: names of repositories that were created as private.
    """

    url: str = ""
    repositories: dict[str, list[Files]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    gated: set[str] = field(default_factory=set)
    private: set[str] = field(default_factory=set)

    def add(self, name: str, folder: Path) -> str:
        """Commit the files of a folder, and return the commit."""
        self.repositories.setdefault(name, []).append({path.name: path.read_bytes() for path in folder.iterdir()})
        return commit_name(name, len(self.repositories[name]) - 1)

    def downloaded(self) -> list[str]:
        """Return the files that were sent, in order."""
        return [request.rpartition("/")[2] for request in self.requests if re.match("GET /.*/resolve/", request)]


def commit_name(name: str, number: int) -> str:
    return hashlib.sha1(f"{name} {number}".encode()).hexdigest()


@contextlib.contextmanager
def serving_hub() -> Iterator[Hub]:
    """Run the server during the `with` block."""
    hub = Hub()
    with listening(lambda handler: _answer(handler, hub)) as hub.url:
        yield hub


def _answer(handler: BaseHTTPRequestHandler, hub: Hub) -> None:
    body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    hub.requests.append(f"{handler.command} {handler.path}")
    path = handler.path.partition("?")[0]
    if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/([^/]+)", path):
        _describe(handler, hub, *match.groups())
    elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
        _send_file(handler, hub, *match.groups())
    elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
        _list_files(handler, hub, *match.groups())
    elif path == "/api/repos/create":
        _create(handler, hub, json.loads(body))
    elif path == "/api/validate-yaml":
        _send(handler, {"errors": [], "warnings": []})
    elif re.fullmatch(r"/api/models/[^/]+/[^/]+/preupload/main", path):
        asked = json.loads(body)["files"]
        _send(
            handler,
            {"files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in asked]},
        )
    elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
        _commit(handler, hub, match[1], [json.loads(line) for line in body.splitlines()])
    else:
        _refuse(handler, 404, "")


def _find(handler: BaseHTTPRequestHandler, hub: Hub, name: str, revision: str) -> tuple[str, Files] | None:
    """Return a commit and its files, or answer that there are none."""
    commits = hub.repositories.get(name, [])
    known = {commit_name(name, number): files for number, files in enumerate(commits)}
    if revision == "main" and commits:
        revision = commit_name(name, len(commits) - 1)
    if name in hub.gated:
        _refuse(handler, 403, "GatedRepo")
    elif not commits:
        _refuse(handler, 404, "RepoNotFound")
    elif revision not in known:
        _refuse(handler, 404, "RevisionNotFound")
    else:
        return revision, known[revision]
    return None


def _describe(handler: BaseHTTPRequestHandler, hub: Hub, name: str, revision: str) -> None:
    if found := _find(handler, hub, name, revision):
        siblings = [{"rfilename": file} for file in found[1]]
        _send(handler, {"id": name, "modelId": name, "sha": found[0], "siblings": siblings, "tags": []})


def _list_files(handler: BaseHTTPRequestHandler, hub: Hub, name: str, revision: str) -> None:
    if found := _find(handler, hub, name, revision):
        entries = [
            {"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for file, content in found[1].items()
        ]
        _send(handler, entries)


def _send_file(handler: BaseHTTPRequestHandler, hub: Hub, name: str, revision: str, file: str) -> None:
    if not (found := _find(handler, hub, name, revision)):
        return
    commit, files = found
    if file not in files:
        _refuse(handler, 404, "EntryNotFound")
        return
    tag = hashlib.sha1(files[file]).hexdigest()
    _send(handler, files[file], {"ETag": f'"{tag}"', "X-Repo-Commit": commit})


def _create(handler: BaseHTTPRequestHandler, hub: Hub, asked: dict[str, Any]) -> None:
    name = f"{asked['organization']}/{asked['name']}"
    if asked.get("private") or asked.get("visibility") == "private":
        hub.private.add(name)
    hub.repositories.setdefault(name, [{}])
    _send(handler, {"url": f"{hub.url}/{name}", "name": name, "id": name})


def _commit(handler: BaseHTTPRequestHandler, hub: Hub, name: str, lines: list[dict[str, Any]]) -> None:
    files = dict(hub.repositories[name][-1])
    for line in lines:
        if line["key"] == "file":
            files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
    hub.repositories[name].append(files)
    commit = commit_name(name, len(hub.repositories[name]) - 1)
    _send(
        handler,
        {"commitUrl": f"{hub.url}/{name}/commit/{commit}", "commitOid": commit, "hookOutput": "", "success": True},
    )


def _send(handler: BaseHTTPRequestHandler, content: Any, headers: dict[str, str] | None = None) -> None:
    """Send bytes, or anything else as JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    handler.send_response(200)
    kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
    for key, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(key, value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def _refuse(handler: BaseHTTPRequestHandler, status: int, code: str) -> None:
    handler.send_response(status)
    for key, value in {"Content-Length": "0", "X-Error-Code": code, "X-Error-Message": code}.items():
        handler.send_header(key, value)
    handler.end_headers()
