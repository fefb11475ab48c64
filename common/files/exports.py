"""Read the metadata and the checksums of exported files as bytes, without running anything.

Zip archives (TorchScript, `torch.export`, AOTInductor) have a checksum for each member. ONNX has none, so `sealed`
appends the SHA-256 of all bytes before it as a metadata property.

An ONNX file is one protobuf message, ModelProto: a sequence of fields, each a tag (its number and the kind of its
value) and a value. Fields may come in any order, so a property can be appended to the bytes of a file.
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
METADATA_PROPS = 14  # field number of ModelProto's properties, each with a key (1) and a value (2)
LENGTH_DELIMITED = 2  # kind of a value that starts with its length; varints are 0
FIXED_LENGTHS = {1: 8, 5: 4}  # kind of a value -> bytes
Bytes = bytes | mmap.mmap


def check_undamaged(path: Path) -> None:
    """Compare a file with its own checksums. ONNX files without one pass.

    Raises:
        InputError: a checksum differs, or the file is truncated or not an archive.
    """
    if is_onnx(path):
        with _content(path) as content:
            intact = _seal_fits(content)
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                intact = archive.testzip() is None
        except Exception:  # damaged bytes can raise almost any exception
            intact = False
    if not intact:
        raise InputError(f"{path}: damaged or changed since it was exported: its checksum differs; export it again")


def is_onnx(path: Path) -> bool:
    return path.suffix.lower() == ".onnx"


def sealed(content: bytes) -> bytes:
    """Append a checksum to the bytes of an ONNX file."""
    return content + _property(SEAL, hashlib.sha256(content).hexdigest())


def onnx_metadata(path: Path) -> dict[str, str]:
    """Read the metadata properties of an ONNX file.

    Raises:
        InputError: not an ONNX file, or a damaged one.
    """
    found = {}
    with _content(path) as content:
        try:
            for number, start, end in _fields(content):
                if number == METADATA_PROPS:
                    entry = content[start:end]
                    texts = {
                        number: entry[a:b].decode() for number, a, b in _fields(entry)
                    }  # protobuf omits empty texts
                    found[texts.get(1, "")] = texts.get(2, "")
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}: not an ONNX file, or damaged") from error
    return found


def _property(key: str, value: str) -> bytes:
    """Encode a field of `METADATA_PROPS`. Both texts must be short: each length is one byte."""
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
    """Map a file's bytes, so that only the parts that are used are read."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:  # empty files cannot be mapped
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


def _fields(content: Bytes) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each field's value. ValueError or IndexError if the bytes are not a message."""
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
    """Decode an integer in groups of seven bits, lowest first. Return it and the position after it."""
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def export_metadata(path: Path) -> str | None:
    """Return the JSON metadata of an exported model without loading its weights, or None for other files.

    Raises:
        InputError: an .onnx file that is not an ONNX file, or a damaged one.
        BadZipFile: a damaged archive.
    """
    if is_onnx(path):
        return onnx_metadata(path).get(EXPORT_METADATA)
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"/extra/{EXPORT_METADATA}.json")]
            return archive.read(names[0]).decode(errors="replace") if names else None
    except (zipfile.BadZipFile, OSError):
        raise
    except Exception as error:  # damaged bytes can raise almost any exception
        raise zipfile.BadZipFile(f"damaged archive ({type(error).__name__})") from error


def is_export(path: Path) -> bool:
    """Return whether the file is an export, by its suffix (ONNX) or its metadata. Nothing is loaded."""
    return path.is_file() and (is_onnx(path) or readable_metadata(path) is not None)


def readable_metadata(path: Path) -> str | None:
    """Return `export_metadata`, or None for a damaged archive, which loading will report."""
    try:
        return export_metadata(path)
    except zipfile.BadZipFile:
        return None
