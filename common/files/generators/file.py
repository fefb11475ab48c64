"""Content of a generator's file of any program, and functions that the readers share."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from common.errors import InputError
from common.files.bounded.plain_values import check_settings
from common.files.json_files import read_json
from common.files.yaml_files import read_yaml

State = dict[str, Tensor]
WRAPPERS = ("module.", "_orig_mod.", "generator.")  # of PyTorch's DDP, torch.compile, and classes around a generator
MELS = "hifigan_recipe_mels"  # section of configurations that this project wrote for other programs
# The generator's keys in Coqui TTS and SpeechBrain -> ours.
FACTOR_NAMES = {
    "upsample_factors": "upsample_rates",
    "upsample_kernel_sizes": "upsample_kernel_sizes",
    "upsample_initial_channel": "upsample_initial_channel",
    "resblock_type": "resblock",
    "resblock_kernel_sizes": "resblock_kernel_sizes",
    "resblock_dilation_sizes": "resblock_dilation_sizes",
}


@dataclasses.dataclass(frozen=True)
class GeneratorFile:
    """Content of a generator checkpoint, whatever its format.

    Attributes:
        path: the file.
        state: tensors under their public names, but for the numbering of residual blocks.
        config: the generator's keys, from the file or from another program's configuration beside it, or empty.
        setup: signal and training settings under the names of `train_setup`, or empty.
        program: the program that wrote it, for messages.
        config_beside: JSON configuration beside a file of the paper authors' format.
        epoch: finished training epochs, None if unknown.
        notes: what the user should know, such as a setting that was assumed.
    """

    path: Path
    state: State
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    setup: dict[str, Any] = dataclasses.field(default_factory=dict)
    program: str = ""
    config_beside: Path | None = None
    epoch: int | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise `InputError` for settings that are not plain values."""
        check_settings([self.config, self.setup, self.epoch], self.path)

    @property
    def framing(self) -> str:
        """Framing of its mels: "vocoder", unless the file records another."""
        framing: str = self.setup.get("framing", "vocoder")
        return framing

    @property
    def num_mels(self) -> int:
        """Mel bands that the first layer takes."""
        return input_bands(self.state) or 80

    def signal_settings(self) -> dict[str, Any]:
        """Return the signal settings, from the file or from the configuration beside it, under the names used there."""
        stored = read_json(self.config_beside) if self.config_beside else self.setup
        return {"num_mels": self.num_mels, **stored, "framing": self.framing}


def input_bands(state: Mapping[str, Tensor]) -> int | None:
    """Return the mel bands that the first layer takes, or None if there is none."""
    for key, value in state.items():
        if key.rpartition("conv_pre.")[2] in ("weight", "weight_v") and value.dim() == 3:
            return value.shape[1]
    return None


def tensors_in(value: Any) -> State:
    """Return the tensors of a dictionary under their names. Empty for anything else."""
    if not isinstance(value, Mapping):
        return {}
    return {str(key): tensor for key, tensor in value.items() if isinstance(tensor, Tensor)}


def below(state: Mapping[str, Tensor], prefix: str) -> State:
    """Return the tensors whose names start with `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def renamed(state: Mapping[str, Tensor], rules: Iterable[tuple[str, str]]) -> State:
    """Rename tensors by regular expressions, each tried on every name in turn."""
    names = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        names[key] = value
    return names


def public_names(state: Mapping[str, Tensor]) -> State:
    """Rename tensors from a wrapper's or PyTorch's parametrization names to the public ones."""
    names = {}
    for key, value in state.items():
        name = key
        while prefix := next((wrapper for wrapper in WRAPPERS if name.startswith(wrapper)), ""):
            name = name.removeprefix(prefix)
        name = re.sub(r"parametrizations\.weight\.original([01])$", lambda m: "weight_" + "gv"[int(m[1])], name)
        names[name] = value
    return names


def find_beside(path: Path, names: Sequence[str]) -> Path | None:
    """Return the first of these files that lies beside `path`."""
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)


def settings_beside(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Read the first of these YAML or JSON files beside `path`. Empty without one.

    Raises:
        InputError: a damaged file, or not a dictionary.
    """
    file = find_beside(path, names)
    if file is None:
        return {}
    values = read_json(file) if file.suffix == ".json" else read_yaml(file)
    if not isinstance(values, dict):
        raise InputError(f"{file}: expected settings by their names")
    return values


def section(values: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return the dictionary below these keys, or an empty one."""
    for key in keys:
        found = values.get(key)
        values = found if isinstance(found, Mapping) else {}
    return dict(values)


def taken(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that are there, under new names. `names`: theirs -> ours."""
    return {ours: values[theirs] for theirs, ours in names.items() if values.get(theirs) is not None}


def require(values: Mapping[str, Any], keys: Iterable[str], path: Path, where: str) -> None:
    """Raise `InputError` unless the settings are there. `where` says where they belong."""
    missing = [key for key in keys if key not in values]
    if missing:
        raise InputError(f"{path}: {', '.join(missing)} is missing; {where}")


def refuse_slope(values: Mapping[str, Any], key: str, path: Path) -> None:
    """Raise `InputError` for another slope of the leaky ReLU than the paper's."""
    slope = values.get(key, 0.1)
    if slope != 0.1:
        raise InputError(f"{path}: {key} is {slope}; only generators with 0.1 can be loaded")


def hop_length(rates: Iterable[int]) -> int:
    """Return the samples that a generator with these rates makes of a frame."""
    return math.prod(int(rate) for rate in rates)


def used_dilations(rows: Any, state: Mapping[str, Tensor]) -> list[list[int]]:
    """Cut rows of dilations that are longer than the residual blocks, which some configurations have.

    Args:
        rows: for each block of a stage, its dilations.
        state: tensors under the public names.
    """
    convs = [
        int(m[1])
        for key in state
        if (m := re.match(r"resblocks\.(?:\d+\.)?\d+\.convs1?\.(\d+)\.(?:weight|weight_v)$", key))
    ]
    count = max(convs, default=-1) + 1
    return [list(row)[:count] if count else list(row) for row in rows]
