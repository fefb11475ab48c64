"""Tensors in files of their own."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor


def save_tensor(path: Path, tensor: Tensor) -> None:
    """Writes a `.pt` file, which appears whole or not at all."""
    encoded = io.BytesIO()  # written by Python: PyTorch's errors of a full disk are no OSError
    torch.save(tensor.clone(), encoded)  # a clone: a view would store everything that it is a view of
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(encoded.getvalue())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
