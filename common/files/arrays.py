"""Arrays and tensors as files, written atomically."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.files.atomic import write_whole


def save_tensor(path: Path, tensor: Tensor) -> None:
    """Write a `.pt` file."""
    # Saving a view would store the whole tensor behind it.
    write_whole(path, encode_for_torch(tensor.clone()), one_of_many=True)


def encode_for_torch(content: Any) -> bytes:
    """Return the bytes of a `.pt` file. They do not depend on its name.

    Python writes them, because PyTorch does not raise OSError for a full disk.
    """
    encoded = io.BytesIO()
    torch.save(content, encoded)
    return encoded.getvalue()


def save_array(path: Path, array: np.ndarray) -> None:
    """Write a `.npy` file."""
    encoded = io.BytesIO()
    np.save(encoded, array)
    write_whole(path, encoded.getvalue(), one_of_many=True)
