"""Which architecture and signal settings a generator's file has, wherever they are recorded.

The paper authors number the residual blocks in one sequence (`resblocks.N`), here they are numbered by stage and block.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.audio_config import AudioConfig
from common.errors import InputError
from common.files.generators import shapes
from common.files.generators.file import GeneratorFile, State
from hifigan.config import GeneratorConfig, check_hop_length, read_config_file

GivenConfig = GeneratorConfig | Mapping[str, Any] | str | Path | None


def nest_resblocks(state: State, blocks_per_stage: int) -> State:
    """Convert the paper authors' numbering: `resblocks.7.convs...` -> `resblocks.2.1.convs...`."""

    def rename(match: re.Match[str]) -> str:
        stage, block = divmod(int(match[1]), blocks_per_stage)
        return f"resblocks.{stage}.{block}.convs"

    return {re.sub(r"^resblocks\.(\d+)\.convs", rename, key): value for key, value in state.items()}


def find_config(file: GeneratorFile, given: GivenConfig) -> tuple[GeneratorConfig, AudioConfig, dict[str, Any]]:
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
