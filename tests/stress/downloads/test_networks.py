"""Proxies, and servers whose certificate is not valid: one line each, and no file."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from common.download.http import download
from common.errors import InputError
from tests.support.web.raw_http import reply, replying

BODY = b"weights" * 100


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("no_proxy")
    return monkeypatch


def test_a_proxy_is_used(proxied: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with replying(reply(BODY)) as proxy:
        proxied.setenv("http_proxy", proxy.url)
        download("http://example.invalid/file", tmp_path / "file")
    assert [path for path, _ in proxy.requests] == ["http://example.invalid/file"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (reply(b"", "407 Proxy Authentication Required"), "HTTP 407 .*; http_proxy needs a login"),
        (reply(b"<html>blocked</html>"), "content is a web page"),
        (reply(b"", "502 Bad Gateway"), "HTTP 502 Bad Gateway; check the network"),
    ],
)
def test_a_proxy_that_refuses(answer: bytes, message: str, proxied: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with replying(answer) as proxy:
        proxied.setenv("http_proxy", proxy.url)
        with pytest.raises((OSError, InputError), match=message):
            download("http://example.invalid/file", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://127.0.0.1:1", "http://[", "127.0.0.1:x", ":::"])
def test_a_proxy_that_is_none(proxy: str, proxied: pytest.MonkeyPatch, tmp_path: Path) -> None:
    proxied.setenv("http_proxy", proxy)
    with pytest.raises((OSError, InputError), match="http_proxy") as caught:
        download("http://example.invalid/file", tmp_path / "file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "inside",
    ["http://127.0.0.1:9/file", "http://localhost/file", "http://169.254.169.254/latest/meta-data/", "http://[::1]/"],
)
def test_a_public_server_cannot_lead_into_the_private_network(
    inside: str, proxied: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The proxy stands for a public server, which redirects to a service that only this machine can reach."""
    with replying(reply(status="302 Found", Location=inside), reply(b"secrets")) as proxy:
        proxied.setenv("http_proxy", proxy.url)
        with pytest.raises(InputError, match="which lies in a private network"):
            download("http://8.8.8.8/file", tmp_path / "file")
    assert len(proxy.requests) == 1


@contextlib.contextmanager
def serving_tls(certificate: Path, key: Path) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/plain":
                self.wfile.write(reply(status="302 Found", Location="http://127.0.0.1/file"))
            else:
                self.wfile.write(reply(BODY))

        def log_message(self, format: str, *args: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *arguments: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


def make_certificate(folder: Path, name: str, *options: str) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]
    command += ["-out", str(certificate), "-keyout", str(key), *options]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.mark.skipif(not shutil.which("openssl"), reason="makes certificates with openssl")
def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = make_certificate(tmp_path, "mine", "-addext", "subjectAltName=IP:127.0.0.1")
    other = make_certificate(tmp_path, "other", "-addext", "subjectAltName=DNS:example.org")
    dest = tmp_path / "file"
    with serving_tls(*mine) as url:
        with pytest.raises(
            OSError, match=r"certificate is not valid here \(self.signed certificate\); .*SSL_CERT_FILE"
        ):
            download(f"{url}/file", dest)
        with pytest.raises(OSError, match="check the network"):  # the wrong protocol
            download(f"{url.replace('https', 'http')}/file", dest)
        monkeypatch.setenv("SSL_CERT_FILE", str(mine[0]))
        with pytest.raises(InputError, match=r"redirects to http://127.0.0.1/file, which is not encrypted"):
            download(f"{url}/plain", dest)
        assert not dest.exists()
        download(f"{url}/file", dest)
        assert dest.read_bytes() == BODY
        dest.unlink()
    monkeypatch.setenv("SSL_CERT_FILE", str(other[0]))
    with (
        serving_tls(*other) as url,
        pytest.raises(OSError, match=r"certificate is not valid here .*IP address mismatch"),
    ):
        download(f"{url}/file", dest)
    with replying(reply(BODY)) as site, pytest.raises(OSError, match="check the network"):
        download(f"{site.url.replace('http', 'https')}/file", dest)
    assert not dest.exists()
