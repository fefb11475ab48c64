"""Read the metadata and the checksums of exported files as bytes, without running anything.

Zip archives (TorchScript, `torch.export`, AOTInductor) have a checksum for each member. ONNX has none, so `sealed`
appends the SHA-256 of all bytes before it as a metadata property.

An ONNX file is one protobuf message, ModelProto: a sequence of fields, each a tag (its number and the kind of its
value) and a value. Fields may come in any order, so a property can be appended to the bytes of a file.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from common.errors import InputError
from common.files.bounded.regular_files import file_size, open_regular
from common.files.bounded.zip_archives import open_stored, read_member

EXPORT_METADATA = "hifigan"  # property of exported ONNX files, and name (.json) of an extra file in other exports
SEAL = "hifigan.sha256"  # name of the metadata property
METADATA_PROPS = 14  # field number of ModelProto's properties, each with a key (1) and a value (2)
LENGTH_DELIMITED = 2  # kind of a value that starts with its length; varints are 0
FIXED_LENGTHS = {1: 8, 5: 4}  # kind of a value -> bytes
LARGEST_METADATA_BYTES = 2**20
MOST_FIELDS = 10_000  # of a message. A model has one graph and a few properties
_LONGEST_VARINT_BITS = 63
_BLOCK_BYTES = 2**20


def check_undamaged(path: Path) -> None:
    """Compare a file with its own checksums. ONNX files without one pass.

    Raises:
        InputError: a checksum differs, or the file is truncated or not an archive.
    """
    if is_onnx(path):
        with open_regular(path) as file:
            intact = _seal_fits(file)
    else:
        try:
            with open_stored(path) as archive:
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
    with open_regular(path) as file:
        try:
            for number, start, end in _fields(file, file_size(file)):
                if number == METADATA_PROPS:
                    entry = _read(file, start, end)
                    fields = _fields(io.BytesIO(entry), len(entry))
                    texts = {number: entry[a:b].decode() for number, a, b in fields}  # protobuf omits empty texts
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


def _seal_fits(file: BinaryIO) -> bool:
    size = len(_property(SEAL, "0" * 64))
    end = file_size(file) - size
    if end < 0 or SEAL.encode() not in (seal := _read(file, end, end + size)):  # exported before there were checksums
        return True
    digest = hashlib.sha256()
    file.seek(0)
    for start in range(0, end, _BLOCK_BYTES):  # in blocks: a mapped file that shrinks would end the process
        digest.update(file.read(min(_BLOCK_BYTES, end - start)))
    return seal == _property(SEAL, digest.hexdigest())


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    if end - start > LARGEST_METADATA_BYTES:
        raise ValueError(f"metadata of {end - start} bytes, the limit is {LARGEST_METADATA_BYTES}")
    file.seek(start)
    return file.read(end - start)


def _fields(content: BinaryIO, length: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each field's value. ValueError or IndexError if the bytes are not a message."""
    at = count = 0
    while at < length:
        count += 1
        if count > MOST_FIELDS:
            raise ValueError(f"more than {MOST_FIELDS} fields")
        tag, at = _varint(content, at)
        number, kind = tag >> 3, tag & 7
        if kind == LENGTH_DELIMITED:
            size, at = _varint(content, at)
            end = at + size
        elif kind == 0:
            _, end = _varint(content, at)
        elif kind in FIXED_LENGTHS:
            end = at + FIXED_LENGTHS[kind]
        else:
            raise ValueError(f"kind {kind} of value")
        if end > length:
            raise ValueError("the file ends within a field")
        yield number, at, end
        at = end


def _varint(content: BinaryIO, at: int) -> tuple[int, int]:
    """Decode an integer in groups of seven bits, lowest first. Return it and the position after it."""
    content.seek(at)
    value = shift = 0
    while shift <= _LONGEST_VARINT_BITS:
        byte = content.read(1)[0]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("an integer of more than 64 bits")


def export_metadata(path: Path) -> str | None:
    """Return the JSON metadata of an exported model without loading its weights, or None for other files.

    Raises:
        InputError: an .onnx file that is not an ONNX file, or a damaged one.
        BadZipFile: a damaged archive.
    """
    if is_onnx(path):
        return onnx_metadata(path).get(EXPORT_METADATA)
    with open_regular(path) as file:
        if not zipfile.is_zipfile(file):
            return None
    with open_stored(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(f"/extra/{EXPORT_METADATA}.json")]
        return read_member(archive, names[0], LARGEST_METADATA_BYTES).decode(errors="replace") if names else None


def is_export(path: Path) -> bool:
    """Return whether the file is an export, by its suffix (ONNX) or its metadata. Nothing is loaded."""
    return path.is_file() and (is_onnx(path) or readable_metadata(path) is not None)


def readable_metadata(path: Path) -> str | None:
    """Return `export_metadata`, or None for a damaged archive, which loading will report."""
    try:
        return export_metadata(path)
    except zipfile.BadZipFile:
        return None
