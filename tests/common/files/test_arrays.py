"""Arrays and tensors as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from common.files.arrays import save_array, save_tensor


def test_a_view_is_stored_without_what_lies_behind_it(tmp_path: Path) -> None:
    whole = torch.arange(10.0**6)
    save_tensor(tmp_path / "new" / "a.pt", whole[3:6])
    assert torch.load(tmp_path / "new" / "a.pt", weights_only=True).tolist() == [3, 4, 5]
    assert (tmp_path / "new" / "a.pt").stat().st_size < 10_000


def test_arrays(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    save_array(tmp_path / "a.npy", array)
    stored = np.load(tmp_path / "a.npy")
    assert stored.dtype == np.float32
    assert np.array_equal(stored, array)
