"""Exported files as bytes: whether they are undamaged, and what ONNX files say about themselves; nothing is run.

Zip archives (TorchScript, `torch.export`, AOTInductor) have a checksum of each member. ONNX has none, so `sealed` puts
the SHA-256 of all that is before it at the end, as a metadata property.

An ONNX file is one protobuf message, ModelProto: fields one after the other, each a tag (its number and the kind of its
value) and a value. Fields may follow in any order, so a property may be appended to the bytes of a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import zipfile
from collections.abc import Iterator
from pathlib import Path

from common.errors import InputError

EXPORT_METADATA = "hifigan"  # property of exported ONNX files, and name (.json) of an extra file in other exports
SEAL = "hifigan.sha256"  # name of the metadata property
METADATA_PROPS = 14  # number of ModelProto's repeated field of properties, each with a key (1) and a value (2)
LENGTH_DELIMITED = 2  # kinds of values; the others have fixed lengths or, 0, end themselves
FIXED_LENGTHS = {1: 8, 5: 4}
Bytes = bytes | mmap.mmap


def check_undamaged(path: Path) -> None:
    """Compares a file with its own checksums; ONNX files without one pass.

    Raises:
        InputError: they differ, or the file is cut or no such file.
    """
    if is_onnx(path):
        with _content(path) as content:
            intact = _seal_fits(content)
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                intact = archive.testzip() is None
        except Exception:  # what bytes can do to the reader of an archive has many names
            intact = False
    if not intact:
        raise InputError(f"{path}: damaged or changed since it was exported: its checksum differs; export it again")


def is_onnx(path: Path) -> bool:
    return path.suffix.lower() == ".onnx"


def sealed(content: bytes) -> bytes:
    """The bytes of an ONNX file -> the same with their checksum."""
    return content + _property(SEAL, hashlib.sha256(content).hexdigest())


def onnx_metadata(path: Path) -> dict[str, str]:
    """The metadata properties of an ONNX file.

    Raises:
        InputError: no ONNX file, or a damaged one.
    """
    found = {}
    with _content(path) as content:
        try:
            for number, start, end in _fields(content):
                if number == METADATA_PROPS:
                    entry = content[start:end]
                    texts = {number: entry[a:b].decode() for number, a, b in _fields(entry)}  # empty ones are left out
                    found[texts.get(1, "")] = texts.get(2, "")
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}: not an ONNX file, or damaged") from error
    return found


def _property(key: str, value: str) -> bytes:
    """A field of `METADATA_PROPS`; both texts are short, so that each length is one byte."""
    entry = b"".join(
        bytes([number << 3 | LENGTH_DELIMITED, len(text)]) + text.encode() for number, text in ((1, key), (2, value))
    )
    return bytes([METADATA_PROPS << 3 | LENGTH_DELIMITED, len(entry)]) + entry


def _seal_fits(content: Bytes) -> bool:
    size = len(_property(SEAL, "0" * 64))
    end = len(content) - size
    if end < 0 or SEAL.encode() not in content[end:]:  # exported before there were checksums
        return True
    return content[end:] == _property(SEAL, hashlib.sha256(memoryview(content)[:end]).hexdigest())


@contextlib.contextmanager
def _content(path: Path) -> Iterator[Bytes]:
    """The bytes of a file, of which only those that are looked at are read."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:  # cannot be mapped
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


def _fields(content: Bytes) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of the value of each field of a message; ValueError or IndexError where it is none."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        number, kind = tag >> 3, tag & 7
        if kind == LENGTH_DELIMITED:
            length, at = _varint(content, at)
            end = at + length
        elif kind == 0:
            _, end = _varint(content, at)
        elif kind in FIXED_LENGTHS:
            end = at + FIXED_LENGTHS[kind]
        else:
            raise ValueError(f"kind {kind} of value")
        if end > len(content):
            raise ValueError("the file ends within a field")
        yield number, at, end
        at = end


def _varint(content: Bytes, at: int) -> tuple[int, int]:
    """An integer in groups of seven bits, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def export_metadata(path: Path) -> str | None:
    """What an exported model says about itself, as JSON; None for other files. Its weights are not loaded.

    Raises:
        InputError: an ONNX file that is none, or a damaged one.
        BadZipFile: a damaged archive.
    """
    if is_onnx(path):
        return onnx_metadata(path).get(EXPORT_METADATA)
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(f"/extra/{EXPORT_METADATA}.json")]
        return archive.read(names[0]).decode(errors="replace") if names else None


def is_export(path: Path) -> bool:
    """Whether the file is an export, by its suffix (ONNX) or the contract inside; nothing is loaded."""
    return path.is_file() and (is_onnx(path) or readable_metadata(path) is not None)


def readable_metadata(path: Path) -> str | None:
    """`export_metadata`, or None for a damaged archive: whoever loads the file will name the damage."""
    try:
        return export_metadata(path)
    except zipfile.BadZipFile:
        return None
