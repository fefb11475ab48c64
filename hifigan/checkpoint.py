"""Load generators from checkpoints. `common.files.generators` knows the formats of the files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from common.errors import InputError
from common.files.checkpoints import check_tensors
from common.files.exports import is_export
from common.files.generators.file import public_names
from common.files.generators.read import read_generator
from common.project import command
from hifigan.config import GeneratorInfo
from hifigan.generator import Generator, GivenConfig, nest_resblocks
from hifigan.layers import match_weight_norm


def load_generator(
    path: str | Path,
    config: GivenConfig = None,
    device: str | torch.device = "cpu",
    ema: bool = False,
) -> tuple[Generator, GeneratorInfo]:
    """Load a generator for inference from any public format.

    Args:
        path: checkpoint file of this or another program (docs/formats.md), or the folder of a model.
        config: architecture, as an object, a dictionary of the six keys, or a JSON file. Required only if the file has
            no configuration inside or beside it and cannot be recognised by its shapes.
        device: where to put the generator.
        ema: load the moving average of the weights, from a run with `--ema`.

    Returns:
        The generator in evaluation mode with weight norm removed, and a description of its file, which is also its
        attribute `info`.

    Raises:
        FileNotFoundError: no such file.
        InputError: the file is damaged, of another kind, or an export. It contradicts `config`. It has missing, extra,
            or misshapen tensors. Or `ema` is set and it has no moving average.
    """
    generator, info = _load(path, config, ema, trainable=False)
    return generator.eval().to(device), info


def load_trainable_generator(
    path: str | Path, config: GivenConfig = None, ema: bool = False
) -> tuple[Generator, GeneratorInfo]:
    """Load a generator for training: like `load_generator`, but on the CPU and with weight norm."""
    return _load(path, config, ema, trainable=True)


def _load(path: str | Path, config: GivenConfig, ema: bool, trainable: bool) -> tuple[Generator, GeneratorInfo]:
    path = Path(path)
    if is_export(path):
        raise InputError(
            f"{path}: an exported model, not a checkpoint; {command('python inference.py')} --backend auto runs it, "
            "and in Python hifigan.export.files.load_export"
        )
    try:
        generator = Generator.from_file(read_generator(path, ema), config, trainable)
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from error
    assert generator.info is not None
    return generator, generator.info


def load_public_state(module: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Load tensors under the public names. All names and shapes must match, or `module` stays unchanged.

    Weight-normed and plain (`weight`) tensors are converted to each other as `module` requires.

    Raises:
        InputError: lists missing, extra, and misshapen tensors.
    """
    expected = module.state_dict()
    given = public_names(state_dict)
    if isinstance(module, Generator):
        given = nest_resblocks(given, len(module.config.resblock_kernel_sizes))
    given = match_weight_norm(given, expected)
    check_tensors(given, expected, type(module).__name__)
    module.load_state_dict(given)
