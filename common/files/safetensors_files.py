"""Read and write checkpoints as safetensors files, which hold tensors and text only.

The tensors keep their names. The metadata names the key that a checkpoint has them under (`state`), and holds each
other value of the checkpoint as JSON, such as `config` and `train_setup`.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from common.errors import InputError, first_line
from common.files.atomic import write_whole
from common.files.bounded.plain_values import check_values
from common.files.bounded.regular_files import REPLACE_DAMAGED, check_memory, file_size, in_megabytes, open_regular

STATE = "state"  # metadata: the key of a checkpoint that holds the tensors
CHECKSUM = "crc32"  # metadata: checksum of the header without it, and of all tensors
_METADATA = "__metadata__"
_CHUNK_BYTES = 2**20
_LENGTH_BYTES = 8  # little-endian length of the JSON header at the start of a file
LARGEST_HEADER_BYTES = 4 * 2**20  # names, shapes and metadata. A voice's have 0.1 MB
MOST_TENSORS = 20_000
LARGEST_FP16 = 65504.0
DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8},
    **{"BOOL": torch.bool, "C64": torch.complex64, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2},
    **{"U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64},
}


def is_safetensors(path: Path) -> bool:
    """Return whether a file is safetensors by its suffix or its first bytes."""
    if path.suffix.lower() == ".safetensors":
        return True
    with open_regular(path) as file:
        start = file.read(_LENGTH_BYTES + 1)
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    return start[_LENGTH_BYTES:] == b"{" and _LENGTH_BYTES + length <= path.stat().st_size


def read_safetensors(path: Path, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a file as a checkpoint dictionary, with all floating-point tensors in fp32. A checksum in it is compared.

    Without the metadata of `write_safetensors`, the dictionary holds the tensors by their names.

    Raises:
        InputError: damaged, or beyond the limits.
    """
    content: dict[str, Any] = {}
    try:
        with open_regular(path) as file:
            metadata, places = _read_header(file)
            if CHECKSUM in metadata and metadata[CHECKSUM] != _checksum_in(file):
                raise InputError(
                    f"{path}: damaged, or changed by another program: its checksum is wrong; {REPLACE_DAMAGED}; if "
                    f"it was changed on purpose, save it without the metadata entry {CHECKSUM}"
                )
            check_memory(path, 2 * file_size(file))
            tensors = {}
            for name, place in sorted(places.items()):
                tensor = place.read(file)
                tensors[name] = tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype).to(
                    map_location
                )
    except (OSError, ValueError, RuntimeError, TypeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a safetensors file, or damaged ({first_line(error)})") from error
    if STATE not in metadata:
        return dict(tensors)
    if metadata[STATE] in metadata:
        raise InputError(f"{path}: damaged: its metadata has {metadata[STATE]}, which stands for the tensors")
    for key, text in metadata.items():
        if key not in (STATE, CHECKSUM, "format"):
            try:
                content[key] = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}: damaged: its metadata {key} is not JSON") from error
            check_values(content[key], path)
    return {**content, metadata[STATE]: tensors}


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a tensor lies in a file. `start` counts from the beginning of the file."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    num_bytes: int

    def read(self, file: io.BufferedReader) -> Tensor:
        """Read the tensor. The file is not mapped: if it shrank, reading a mapped one would end the process."""
        data = torch.empty(self.num_bytes, dtype=torch.uint8)
        file.seek(self.start)
        if file.readinto(data.numpy().data) != self.num_bytes:
            raise ValueError("it ends within a tensor")
        return data.view(self.dtype).reshape(self.shape)


def _read_header(file: io.BufferedReader) -> tuple[dict[str, str], dict[str, _Place]]:
    """Return the metadata, and where each tensor lies. The tensors must fill the file without gaps or overlaps.

    Raises:
        ValueError: damaged, or beyond the limits.
    """
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > LARGEST_HEADER_BYTES:
        raise ValueError(f"a header of {in_megabytes(length)}, the limit is {in_megabytes(LARGEST_HEADER_BYTES)}")
    header = json.loads(file.read(length).decode(), object_pairs_hook=_without_repetition)
    metadata = header.pop(_METADATA, {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its header is not a description of tensors")
    if len(header) > MOST_TENSORS:
        raise ValueError(f"{len(header):,} tensors, the limit is {MOST_TENSORS:,}")
    start = end = _LENGTH_BYTES + length
    places = {}
    for name, entry in sorted(header.items(), key=lambda item: _offsets(*item)):
        first, last = _offsets(name, entry)
        shape, dtype = entry.get("shape"), DTYPES.get(str(entry.get("dtype")))
        if dtype is None:
            raise ValueError(f"{name} is of type {entry.get('dtype')}, which cannot be read")
        if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
            raise ValueError(f"{name} has the shape {shape}")
        if start + first != end or last - first != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name} has other bytes ({first} to {last}) than its shape {shape} and its place need")
        places[name] = _Place(dtype, tuple(shape), end, last - first)
        end = start + last
    if end != file_size(file):
        raise ValueError(f"tensors up to byte {end} in a file of {file_size(file)}")
    return metadata, places


def _offsets(name: str, entry: Any) -> tuple[int, int]:
    found = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not (isinstance(found, list) and len(found) == 2 and all(type(value) is int for value in found)):
        raise ValueError(f"{name} has no place in the file")
    return found[0], found[1]


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its header names something twice")
    return found


def write_safetensors(path: Path, state: str, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write a checkpoint.

    Args:
        path: the file.
        state: key of the checkpoint that holds the tensors, such as "generator". Not a key of `values`.
        tensors: by name.
        values: the checkpoint's other values, which must be plain (JSON).
    """
    write_tensors(path, tensors, {STATE: state, **{key: json.dumps(value) for key, value in values.items()}})


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors by their names, and text as metadata."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, _sealed(save(plain, {"format": "pt", **(metadata or {})})))


def _sealed(content: bytes) -> bytes:
    """Add the checksum, and sort the header, which the package writes in random order: equal tensors, equal files."""
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header, tensors = json.loads(content[_LENGTH_BYTES:start]), content[start:]
    header.setdefault(_METADATA, {})[CHECKSUM] = _in_json(zlib.crc32(tensors, zlib.crc32(_to_json(header))))
    text = _to_json(header)
    text += b" " * (-len(text) % _LENGTH_BYTES)  # tensors stay aligned
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text + tensors


def _checksum_in(file: io.BufferedReader) -> str:
    """Compute the checksum of a file with a valid header. 1 GB takes half a second."""
    file.seek(0)
    header = json.loads(file.read(int.from_bytes(file.read(_LENGTH_BYTES), "little")))
    header[_METADATA].pop(CHECKSUM)
    value = zlib.crc32(_to_json(header))
    while chunk := file.read(_CHUNK_BYTES):
        value = zlib.crc32(chunk, value)
    return _in_json(value)


def _in_json(checksum: int) -> str:
    """Return text that earlier versions, which expect JSON in metadata, can read."""
    return json.dumps(f"{checksum:08x}")


def _to_json(header: Mapping[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def in_half_precision(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return matrices and kernels in fp16. Vectors stay in fp32.

    Vectors are small, and some of them are frequencies or statistics, which must be accurate.

    Raises:
        InputError: a value that fp16 cannot hold.
    """
    made = {}
    for name, tensor in tensors.items():
        halves = tensor.dim() > 1 and tensor.is_floating_point()
        if halves and tensor.numel() and not tensor.abs().max() <= LARGEST_FP16:
            raise InputError(f"{name}: has a value that fp16 cannot hold")
        made[name] = tensor.half() if halves else tensor
    return made
