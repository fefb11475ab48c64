"""Small files that stand for gigabytes or for billions of values, each of which broke a reader or could."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.support.stress import cases

Change = Callable[[str, bytes], bytes]
HOLE_BYTES = 100 * 2**30
WEIGHT = {"generator": {"conv_pre.weight": torch.arange(10.0)}}


def repacked(change: Change, content: Any = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a checkpoint whose members are changed, with correct checksums."""
    original, made = io.BytesIO(), io.BytesIO()
    torch.save(content or WEIGHT, original)
    with zipfile.ZipFile(original) as archive, zipfile.ZipFile(made, "w", compression) as out:
        for name in archive.namelist():
            out.writestr(name, change(name, archive.read(name)))
    return made.getvalue()


def with_pickle(data: bytes) -> bytes:
    return repacked(lambda name, found: data if name.endswith("data.pkl") else found)


def lying_numel() -> bytes:
    """A tensor of 400 MB by its pickle, of which the file holds 40 bytes."""
    count = struct.pack("<i", 10**8)

    def change(name: str, data: bytes) -> bytes:
        if not name.endswith("data.pkl"):
            return data
        return data.replace(b"K\nt", b"J" + count + b"t", 1).replace(b"K\0K\n\x85", b"K\0J" + count + b"\x85")

    return repacked(change)


def old_file(change: Callable[[bytes], bytes]) -> bytes:
    file = io.BytesIO()
    torch.save(WEIGHT, file, _use_new_zipfile_serialization=False)
    return change(file.getvalue())


def shared_dictionaries(width: int, depth: int) -> bytes:
    """Dictionaries that refer to each other: width ** depth values in a few kilobytes."""
    values: dict[str, Any] = {"x": 1}
    for _ in range(depth):
        values = {str(number): values for number in range(width)}
    file = io.BytesIO()
    torch.save({**WEIGHT, "config": values, **values}, file)
    return file.getvalue()


def shared_text() -> bytes:
    """A text of a megabyte, which a list repeats 50,000 times."""
    file = io.BytesIO()
    torch.save({**WEIGHT, "config": {"resblock": ["x" * 2**20] * 50_000}}, file)
    return file.getvalue()


def one_member_many_times() -> bytes:
    """An archive whose list names the same 4 MB a thousand times."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"generator": {}}, protocol=2))
        archive.writestr("a/data/0", bytes(2**22))
        for number in range(1, 1000):
            again = zipfile.ZipInfo(f"a/data/{number}")
            source = archive.getinfo("a/data/0")
            again.header_offset, again.file_size, again.compress_size = source.header_offset, 2**22, 2**22
            again.CRC = source.CRC
            archive.filelist.append(again)
        archive._didModify = True  # type: ignore[attr-defined]
    return made.getvalue()


def long_directory() -> bytes:
    """An archive whose list of members has 5 MB."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(80):
            member = zipfile.ZipInfo(f"a/{number}")
            member.comment = bytes(2**16 - 1)
            archive.writestr(member, b"")
    return made.getvalue()


def safetensors(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(first: int, last: int, *shape: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [first, last]}


def nemo_of(size: int, name: str) -> bytes:
    """A tar file in gzip that announces a member of this size, of zeros, and holds its beginning."""
    head = tarfile.TarInfo(name)
    head.size = size
    return gzip.compress(head.tobuf() + bytes(2**20), 1)


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "zip: a tensor larger than its member": ("a.pt", lying_numel),
    "zip: compressed, 256 MB of zeros": (
        "a.pt",
        lambda: repacked(lambda _, data: data, {"generator": {"a": torch.zeros(2**26)}}, zipfile.ZIP_DEFLATED),
    ),
    "zip: one member listed a thousand times": ("a.pt", one_member_many_times),
    "zip: a list of members of 5 MB": ("a.pt", long_directory),
    "zip: deeply nested lists": ("a.pt", lambda: with_pickle(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".")),
    "zip: ten million lists": ("a.pt", lambda: with_pickle(b"\x80\x02" + b"]" * 10_000_000 + b".")),
    "zip: unused sets": ("a.pt", lambda: with_pickle(b"\x80\x02" + b"\x8f" * cases(200_000, 1_000_000) + b".")),
    "zip: a memo of two billion places": ("a.pt", lambda: with_pickle(b"\x80\x02}r\xff\xff\xff\x7f.")),
    "zip: bytes of a size that the file names": (
        "a.pt",
        lambda: with_pickle(b"\x80\x02}X\x09\0\0\0generatorc__builtin__\nbytearray\n\x8a\x05\0\0\0\0\x01\x85Rs."),
    ),
    "zip: BYTEARRAY8 of eight gigabytes": (
        "a.pt",
        lambda: with_pickle(b"\x80\x05}X\x09\0\0\0generator\x96" + (2**33).to_bytes(8, "little") + b"s."),
    ),
    "zip: a storage without a file": (
        "a.pt",
        lambda: with_pickle(b"\x80\x02}X\x09\0\0\0generatorctorch.storage\nUntypedStorage\nJ\0\0\0\x7f\x85Rs."),
    ),
    "zip: a tensor without a file": (
        "a.pt",
        lambda: with_pickle(b"\x80\x02}X\x09\0\0\0generatorctorch\nFloatTensor\nJ\0\0\0\x7f\x85Rs."),
    ),
    "zip: dictionaries that share dictionaries": ("a.pt", lambda: shared_dictionaries(400, 4)),
    "zip: dictionaries that share, 60 deep": ("a.pt", lambda: shared_dictionaries(2, 60)),
    "zip: a text that is repeated": ("a.pt", shared_text),
    "zip: three hundred thousand tensors": (
        "a.pt",
        lambda: repacked(lambda _, data: data, {"generator": dict.fromkeys(map(str, range(300_000)), torch.zeros(1))}),
    ),
    "zip: an integer of a million digits": (
        "a.pt",
        lambda: with_pickle(pickle.dumps({"generator": {}, "config": {"resblock": 1 << 3_000_000}}, protocol=2)),
    ),
    "old pickle: a tensor of a terabyte": (
        "a.pt",
        lambda: old_file(lambda data: data.replace(b"K\n", b"\x8a\x05\0\0\0\0@")),
    ),
    "old pickle: ten million lists": (
        "a.pt",
        lambda: old_file(lambda data: data.replace(b"}q\0X\x09", b"}q\0" + b"]" * 10**7 + b"X\x09", 1)),
    ),
    "safetensors: an endless header": ("a.safetensors", lambda: (2**62).to_bytes(8, "little") + b"{}"),
    "safetensors: a header of 90 MB": ("a.safetensors", lambda: safetensors(b'{"a":[' + b"[]," * 30_000_000 + b"[]]}")),
    "safetensors: a hundred thousand tensors": (
        "a.safetensors",
        lambda: safetensors({str(number): entry(0, 0, 0) for number in range(100_000)}),
    ),
    "safetensors: a shape that lies": ("a.safetensors", lambda: safetensors({"a": entry(0, 40, 10**8)}, bytes(40))),
    "safetensors: a shape that overflows": (
        "a.safetensors",
        lambda: safetensors({"a": entry(0, 0, 2**32, 2**32)}, bytes(40)),
    ),
    "safetensors: negative sizes": ("a.safetensors", lambda: safetensors({"a": entry(0, 16, -2, -2)}, bytes(16))),
    "safetensors: overlapping tensors": (
        "a.safetensors",
        lambda: safetensors({"a": entry(0, 16, 4), "b": entry(8, 24, 4)}, bytes(24)),
    ),
    "safetensors: all tensors in one place": (
        "a.safetensors",
        lambda: safetensors({str(number): entry(0, 2**22, 2**20) for number in range(2000)}, bytes(2**22)),
    ),
    "safetensors: a gap": (
        "a.safetensors",
        lambda: safetensors({"a": entry(0, 16, 4), "b": entry(32, 48, 4)}, bytes(48)),
    ),
    "safetensors: a name twice": (
        "a.safetensors",
        lambda: safetensors({"a": entry(0, 4, 1), "b": entry(4, 8, 1)}, bytes(8)).replace(b'"b"', b'"a"'),
    ),
    "safetensors: metadata of other kinds": (
        "a.safetensors",
        lambda: safetensors({"__metadata__": {"state": ["generator"]}, "a": entry(0, 4, 1)}, bytes(4)),
    ),
    "safetensors: metadata nested deeply": (
        "a.safetensors",
        lambda: safetensors(
            {"__metadata__": {"state": "generator", "config": "[" * 900 + "]" * 900}, "a": entry(0, 4, 1)}, bytes(4)
        ),
    ),
    "safetensors: an unknown type": (
        "a.safetensors",
        lambda: safetensors({"a": entry(0, 4, 1, dtype="X32")}, bytes(4)),
    ),
    "nemo: weights of ten gigabytes": ("a.nemo", lambda: nemo_of(10 * 2**30, "model_weights.ckpt")),
    "nemo: ten gigabytes before the members": ("a.nemo", lambda: nemo_of(10 * 2**30, "other")),
    "nemo: a configuration of 100 MB": ("a.nemo", lambda: nemo_of(100 * 2**20, "model_config.yaml")),
    "nemo: two thousand members": ("a.nemo", lambda: tarfile.TarInfo("a").tobuf() * 2000 + bytes(1024)),
    "nemo: a size of exabytes": (
        "a.nemo",
        lambda: tarfile.TarInfo("model_weights.ckpt").tobuf().replace(b"00000000000\0", b"\x80" + b"\x7f" * 11, 1),
    ),
}  # fmt: skip


def hole(path: Path, start: bytes) -> Path:
    """Write a file of 100 GB that takes no space on the disk, with these bytes at its beginning."""
    path.write_bytes(start)
    os.truncate(path, HOLE_BYTES)
    return path
