"""Load generators from checkpoints. `common.files.generators` knows the formats of the files.

Tensors of every format are matched to the model here: the paper authors number the residual blocks in one sequence
(`resblocks.N`), and the weight norm may have been removed (plain `weight` keys).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.audio_config import AudioConfig, MelConvention
from common.errors import InputError
from common.files.checkpoints import check_tensors
from common.files.exports import is_export
from common.files.generators import shapes
from common.files.generators.file import GeneratorFile, State, public_names
from common.files.generators.read import read_generator
from common.project import command
from hifigan.config import GeneratorConfig, GeneratorInfo, check_hop_length, read_config_file
from hifigan.generator import Generator
from hifigan.layers import match_weight_norm

log = logging.getLogger(__name__)


def load_generator(
    path: str | Path,
    config: GeneratorConfig | Mapping[str, Any] | str | Path | None = None,
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
    path: str | Path, config: GeneratorConfig | Mapping[str, Any] | str | Path | None = None, ema: bool = False
) -> tuple[Generator, GeneratorInfo]:
    """Load a generator for training: like `load_generator`, but on the CPU and with weight norm."""
    return _load(path, config, ema, trainable=True)


def _load(
    path: str | Path, config: GeneratorConfig | Mapping[str, Any] | str | Path | None, ema: bool, trainable: bool
) -> tuple[Generator, GeneratorInfo]:
    path = Path(path)
    if is_export(path):
        raise InputError(
            f"{path}: an exported model, not a checkpoint; {command('python inference.py')} --backend auto runs it, "
            "and in Python hifigan.export.files.load_export"
        )
    file = read_generator(path, ema)
    try:
        chosen, audio, setup = _find_config(file, config)
        state = _nest_resblocks(public_names(file.state), len(chosen.resblock_kernel_sizes))
        generator = Generator.from_state(chosen, state, trainable)
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from error
    for note in file.notes:
        log.info("%s: %s", file.path, note)
    convention, rate = MelConvention.from_dict(setup), setup.get("output_sampling_rate")
    generator.info = GeneratorInfo(file.path, chosen, audio, file.setup, file.epoch, convention, rate, file.program)
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
        given = _nest_resblocks(given, len(module.config.resblock_kernel_sizes))
    given = match_weight_norm(given, expected)
    check_tensors(given, expected, type(module).__name__)
    module.load_state_dict(given)


def _nest_resblocks(state: State, blocks_per_stage: int) -> State:
    """Convert the paper authors' numbering: `resblocks.7.convs...` -> `resblocks.2.1.convs...`."""

    def rename(match: re.Match[str]) -> str:
        stage, block = divmod(int(match[1]), blocks_per_stage)
        return f"resblocks.{stage}.{block}.convs"

    return {re.sub(r"^resblocks\.(\d+)\.convs", rename, key): value for key, value in state.items()}


def _find_config(
    file: GeneratorFile, given: GeneratorConfig | Mapping[str, Any] | str | Path | None
) -> tuple[GeneratorConfig, AudioConfig, dict[str, Any]]:
    """Return architecture and signal settings: the caller's, else the file's, else those beside it, else by shapes.

    Returns:
        The architecture, the signal settings of the mels, and all settings.
    """
    setup = file.setup
    in_file = GeneratorConfig.from_dict(file.config, setup.get("num_mels", file.num_mels)) if file.config else None
    config = in_file
    if isinstance(given, GeneratorConfig):
        config = given
    elif isinstance(given, Mapping):
        config = GeneratorConfig.from_dict(given, given.get("num_mels", file.num_mels))
    elif given is not None:
        config, signal = read_config_file(given)
        setup = {**signal, **setup}
    if in_file is not None and config != in_file:
        raise InputError(f"{file.path}: the given generator configuration contradicts the checkpoint's own")
    if config is None and file.config_beside is not None:
        config, setup = read_config_file(file.config_beside)
    if config is None:
        config = _recognise(file)
    audio = AudioConfig.from_dict({**setup, "num_mels": config.num_mels}, framing=file.framing)
    check_hop_length(config, audio, setup.get("output_sampling_rate"))
    return config, audio, setup


def _recognise(file: GeneratorFile) -> GeneratorConfig:
    """Return the architecture of a published family whose tensors have the file's shapes."""
    nested = any(re.match(r"resblocks\.\d+\.\d+\.convs", key) for key in file.state)
    values = shapes.config_of(file.state, nested)
    if values is None:
        raise InputError(
            f"{file.path}: no generator configuration in the file or beside it (config.json), and its tensors do not "
            "match V1, V2 or V3; give one with --hifigan-config FILE.json"
        )
    return GeneratorConfig.from_dict(values, file.num_mels)
