"""Read checkpoints safely, and check the names and shapes of their tensors."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from common.errors import InputError
from common.files.bounded.plain_values import check_settings
from common.files.bounded.torch_files import load_tensors
from common.files.generators.nemo_archives import NEMO_CONFIG, is_nemo, read_nemo
from common.files.model_folders import complete_checkpoint, find_model_file
from common.files.safetensors_files import is_safetensors, read_safetensors
from common.project import command


def read_file(path: str | Path, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint: safetensors, an archive of NeMo, or PyTorch's format with `torch.load(weights_only=True)`.

    The folder of a model (`common.files.model_folders`), or model.safetensors in it, counts as one checkpoint.
    Floating-point tensors of safetensors files become fp32.

    Checksums in the file are compared with its content. PyTorch's archives and this project's safetensors have some.

    Raises:
        FileNotFoundError: no such file.
        InputError: not a file of tensors and plain values, a damaged one, or a folder of another kind.
    """
    path = Path(path)
    if path.is_dir():
        path = find_model_file(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such checkpoint; published ones: {command('bash scripts/download_models.sh')}"
        )
    if is_safetensors(path):
        return complete_checkpoint(path, read_safetensors(path, map_location))
    if is_nemo(path):
        config, weights = read_nemo(path)
        return {NEMO_CONFIG: config, "state_dict": _load(path, io.BytesIO(weights), map_location)}
    return _load(path, path, map_location)


def _load(path: Path, source: Path | BinaryIO, map_location: str | torch.device) -> dict[str, Any]:
    """Load PyTorch's format. `path` is the name in messages."""
    content = load_tensors(path, source, map_location)
    if not isinstance(content, dict):
        raise InputError(f"{path}: the file holds a {type(content).__name__}, not a checkpoint dictionary")
    return content


def dictionary(path: Path, content: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the dictionary under `key`, or an empty one without the key. `InputError` for other types."""
    value = content.get(key)
    if value is None or (isinstance(value, Mapping) and not value):
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{path}: its {key} is a {type(value).__name__}, not a dictionary")
    check_settings(value, path)
    return dict(value)


def check_tensors(given: Mapping[str, Tensor], expected: Mapping[str, Tensor], kind: str) -> None:
    """Raise `InputError` unless names and shapes are the same, and the tensors can be weights.

    Args:
        given: tensors of a file.
        expected: the model's.
        kind: name of the model in the message.
    """
    problems = []
    for what, names in (
        ("missing", [key for key in expected if key not in given]),
        ("extra", [key for key in given if key not in expected]),
        (
            "misshapen",
            [_shapes(k, given[k], t) for k, t in expected.items() if k in given and given[k].shape != t.shape],
        ),
    ):
        if names:
            shown = ", ".join(map(printable, names[:3]))
            problems.append(f"{len(names)} {what} ({shown}{', ...' if len(names) > 3 else ''})")
    if problems:
        raise InputError(f"the tensors do not fit this {kind}: {'; '.join(problems)} of {len(expected)}")
    check_plain({name: given[name] for name, tensor in expected.items() if tensor.is_floating_point()})


def check_plain(state: Mapping[str, Tensor]) -> None:
    """Raise `InputError` if a tensor cannot be a weight: not floating-point, sparse, or with values that are not there.

    A few bytes can stand for a tensor of terabytes, whose steps from value to value are 0.
    """
    for name, tensor in state.items():
        if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.device.type == "meta":
            kind = f"{tensor.dtype} {tensor.layout} on {tensor.device}".replace("torch.", "")
            raise InputError(f"{printable(name)} is {kind}, not a tensor of floating-point numbers")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise InputError(f"{printable(name)} has {tensor.numel()} values, more than the file holds")


def printable(name: object) -> str:
    """Return a name in a file on one line, whatever characters a damaged file has in it."""
    return str(name).encode("unicode_escape").decode()


def _shapes(key: str, given: Tensor, expected: Tensor) -> str:
    return f"{key} {list(given.shape)} instead of {list(expected.shape)}"
