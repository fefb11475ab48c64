"""Read and write checkpoints as safetensors files, which hold tensors and text only.

The tensors keep their names. The metadata names the key that a checkpoint has them under (`state`), and holds each
other value of the checkpoint as JSON, such as `config` and `train_setup`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from common.errors import InputError, first_line
from common.files.atomic import write_whole

STATE = "state"  # metadata: the key of a checkpoint that holds the tensors
_LENGTH_BYTES = 8  # little-endian length of the JSON header at the start of a file
LARGEST_FP16 = 65504.0


def is_safetensors(path: Path) -> bool:
    """Return whether a file is safetensors by its suffix or its first bytes."""
    if path.suffix.lower() == ".safetensors":
        return True
    with path.open("rb") as file:
        start = file.read(_LENGTH_BYTES + 1)
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    return start[_LENGTH_BYTES:] == b"{" and _LENGTH_BYTES + length <= path.stat().st_size


def read_safetensors(path: Path, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a file as a checkpoint dictionary, with all floating-point tensors in fp32.

    Without the metadata of `write_safetensors`, the dictionary holds the tensors by their names.

    Raises:
        InputError: a damaged file.
    """
    content: dict[str, Any] = {}
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            # Copied, since the file is mapped: if it was overwritten later, the tensors would change.
            names = file.keys()
            tensors = {name: _as_fp32(file.get_tensor(name)).to(map_location) for name in names}
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        reason = first_line(error)
        raise InputError(f"{path}: not a safetensors file, or damaged ({reason})") from error
    if STATE not in metadata:
        return dict(tensors)
    if metadata[STATE] in metadata:
        raise InputError(f"{path}: damaged: its metadata has {metadata[STATE]}, which stands for the tensors")
    for key, text in metadata.items():
        if key not in (STATE, "format"):
            try:
                content[key] = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}: damaged: its metadata {key} is not JSON") from error
    return {**content, metadata[STATE]: tensors}


def _as_fp32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)


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
    write_whole(path, _with_sorted_header(save(plain, {"format": "pt", **(metadata or {})})))


def _with_sorted_header(content: bytes) -> bytes:
    """Sort the keys of the header, which the package writes in random order: the same tensors give the same file."""
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.dumps(json.loads(content[_LENGTH_BYTES:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _LENGTH_BYTES)  # tensors stay aligned
    return len(header).to_bytes(_LENGTH_BYTES, "little") + header + content[start:]


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
