"""Checkpoint files that are not read, and tensors that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from common.errors import InputError
from common.files.checkpoints import check_tensors, read_file


def test_only_dictionaries_of_tensors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    with pytest.raises(FileNotFoundError, match=r"a\.pt: no such checkpoint"):
        read_file(path)
    torch.save({"x": torch.ones(2)}, path)
    assert read_file(path)["x"].tolist() == [1, 1]
    for content, message in (
        ([1], "holds a list"),
        ({"x": Path("a")}, "it holds a Python object, pathlib"),
    ):
        torch.save(content, path)
        with pytest.raises(InputError, match=message):
            read_file(path)
    path.write_bytes(b"text")
    with pytest.raises(InputError, match=r"a\.pt: not a checkpoint of tensors, or damaged"):
        read_file(path)


def test_tensors_that_do_not_fit_are_counted_and_named() -> None:
    expected = {name: torch.zeros(2) for name in "abcd"}
    check_tensors(dict(expected), expected, "model")
    given = {"a": torch.zeros(3), "b": torch.zeros(2), "x": torch.zeros(1)}
    with pytest.raises(InputError) as caught:
        check_tensors(given, expected, "model")
    assert str(caught.value) == (
        "the tensors do not fit this model: 2 missing (c, d); 1 extra (x); 1 misshapen (a [3] instead of [2]) of 4"
    )
