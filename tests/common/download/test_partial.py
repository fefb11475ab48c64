"""Which version of a file the bytes so far belong to."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest

from common.download.partial import PartFile, Version, read_version, record_path


@pytest.fixture
def part(tmp_path: Path) -> Iterator[PartFile]:
    with (tmp_path / "file.part").open("a+b", buffering=0) as file:
        yield PartFile(file, tmp_path / "file.part")


def headers(**fields: str) -> Message:
    message = Message()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return message


OLD, NEW = "Tue, 01 Dec 2026 00:00:00 GMT", "Tue, 01 Dec 2026 00:00:30 GMT"
LATER = "Tue, 01 Dec 2026 01:00:00 GMT"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"ETag": '"abc"'}, '"abc"'),
        ({"ETag": 'W/"abc"'}, ""),
        ({"ETag": 'W/"abc"', "Last_Modified": OLD, "Date": LATER}, OLD),
        ({"Last_Modified": NEW, "Date": OLD}, ""),
        ({"Last_Modified": OLD, "Date": NEW}, ""),
        ({"Last_Modified": "yesterday", "Date": LATER}, ""),
        ({"Last_Modified": OLD}, ""),
        ({}, ""),
    ],
)
def test_versions(fields: dict[str, str], name: str) -> None:
    assert read_version("url", headers(**fields)) == Version("url", name)


def test_bytes_and_their_version(part: PartFile) -> None:
    part.append(b"abc")
    assert (part.length(), part.version()) == (3, None)
    part.restart(Version("url", '"1"'))
    part.append(b"de")
    assert (part.length(), part.version()) == (2, Version("url", '"1"'))
    part.restart(Version("url"))
    assert (part.length(), part.version(), record_path(part.path).exists()) == (0, None, False)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"url": "u"}', b'{"url": 1, "name": "n"}', b'{"url": "u", "name": ""}']
)
def test_a_damaged_record_counts_as_none(content: bytes, part: PartFile) -> None:
    record_path(part.path).write_bytes(content)
    assert part.version() is None
