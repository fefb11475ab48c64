"""Writing files that appear whole or not at all."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name, then renames it; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Removes what processes that were killed while they wrote these files left behind; nobody may write them now."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(path.name)
    for folder, known in names.items():
        for path in folder.glob(".*.tmp"):
            match = re.fullmatch(r"\.(.+)\.\d+\.tmp", path.name)
            if match and match[1] in known:
                path.unlink(missing_ok=True)


def save_tensor(path: Path, tensor: Tensor) -> None:
    """Writes a `.pt` file."""
    encoded = io.BytesIO()  # written by Python: PyTorch's errors of a full disk are no OSError
    torch.save(tensor.clone(), encoded)  # a clone: a view would store everything that it is a view of
    write_whole(path, encoded.getvalue())


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes a `.npy` file."""
    encoded = io.BytesIO()
    np.save(encoded, array)
    write_whole(path, encoded.getvalue())


def is_newer(made: Path, *sources: Path) -> bool:
    """Whether a file is there, and none of those that it was made of has changed since."""
    return made.is_file() and all(made.stat().st_mtime_ns >= source.stat().st_mtime_ns for source in sources)
