"""Arrays and tensors as files, written atomically."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.files.atomic import write_whole


def save_tensor(path: Path, tensor: Tensor) -> None:
    """Write a `.pt` file."""
    encoded = io.BytesIO()  # Python writes the file, because PyTorch does not raise OSError for a full disk
    torch.save(tensor.clone(), encoded)  # saving a view would store the whole tensor behind it
    write_whole(path, encoded.getvalue(), one_of_many=True)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write a `.npy` file."""
    encoded = io.BytesIO()
    np.save(encoded, array)
    write_whole(path, encoded.getvalue(), one_of_many=True)
