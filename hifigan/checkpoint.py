"""Reads generator checkpoints of every public format, and converts them to this recipe's names.

Formats: this recipe's own and NVIDIA's files ({generator, config, train_setup, ...}), the paper authors' files
({"generator": ...} with flat `resblocks.N` and the configuration in a JSON file), files without weight norm (plain
`weight` keys), names with a `module.` prefix, and names of PyTorch's parametrizations.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.audio import AudioConfig
from common.errors import InputError
from common.files.checkpoints import check_tensors, dictionary, read_file
from common.files.exports import is_export
from common.mel_contract import config_beside, num_mels
from hifigan.config import PRESETS, GeneratorConfig, read_config_file
from hifigan.generator import Generator
from hifigan.layers import weight_norms

State = dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class GeneratorInfo:
    """Description of a generator file.

    Attributes:
        path: the file.
        config: architecture, from the caller, the file, the JSON file beside it, or the tensor shapes.
        audio: signal contract, with LJSpeech's values for missing settings. The framing is "vocoder" unless the file
            records that the generator was fine-tuned half a hop apart (`--input-mels-framing`).
        train_setup: the file's `train_setup`, or empty.
        epoch: finished training epochs, or None if unknown.
    """

    path: Path
    config: GeneratorConfig
    audio: AudioConfig
    train_setup: dict[str, Any]
    epoch: int | None


def load_generator(
    path: str | Path,
    config: GeneratorConfig | Mapping[str, Any] | str | Path | None = None,
    device: str | torch.device = "cpu",
    ema: bool = False,
) -> tuple[Generator, GeneratorInfo]:
    """Load a generator for inference from any public format.

    Args:
        path: checkpoint file.
        config: architecture, as an object, a dictionary of the six keys, or a JSON file. Required only if the file has
            no configuration inside or beside it and is not V1, V2, or V3.
        device: where to put the generator.
        ema: load the moving average of the weights, from a run with `--ema`.

    Returns:
        The generator in evaluation mode with weight norm removed, and a description of its file.

    Raises:
        FileNotFoundError: no such file.
        InputError: the file is damaged, of another kind, or an export; it contradicts `config`; it has missing, extra,
            or misshapen tensors; or `ema` is set and it has no moving average.
    """
    generator, info = load_trainable_generator(path, config, ema)
    generator.remove_weight_norm()
    return generator.eval().to(device), info


def load_trainable_generator(
    path: str | Path, config: GeneratorConfig | Mapping[str, Any] | str | Path | None = None, ema: bool = False
) -> tuple[Generator, GeneratorInfo]:
    """Load a generator for training: like `load_generator`, but on the CPU and with weight norm."""
    path = Path(path)
    if is_export(path):
        raise InputError(
            f"{path}: an exported model, not a checkpoint; inference.py --backend auto runs it, and in Python "
            "hifigan.export.files.load_export"
        )
    content = read_file(path)
    state = _find_state(path, content, ema)
    try:
        chosen, audio = _find_config(path, content, state, config)
        generator = Generator(chosen)
        load_public_state(generator, state)
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from error
    epoch = dictionary(path, content, "train_state").get("epoch")
    return generator, GeneratorInfo(path, chosen, audio, dictionary(path, content, "train_setup"), epoch)


def load_public_state(module: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Load tensors under the public names. All names and shapes must match, or `module` stays unchanged.

    Weight-normed and plain (`weight`) tensors are converted to each other as `module` requires.

    Raises:
        InputError: lists missing, extra, and misshapen tensors.
    """
    expected = module.state_dict()
    given = _to_public_names(state_dict)
    if isinstance(module, Generator):
        given = _nest_resblocks(given, len(module.config.resblock_kernel_sizes))
    given = _match_weight_norm(given, expected)
    check_tensors(given, expected, type(module).__name__)
    module.load_state_dict(given)


def _find_state(path: Path, content: Mapping[str, Any], ema: bool) -> State:
    state = content.get("generator", content)
    if ema:
        state = content.get("gen_ema")
        if state is None:
            raise InputError(f"--ema: {path} has no moving average; it comes from training with --ema")
    if isinstance(state, Mapping) and any("conv_pre" in str(key) for key in state):
        wrong = [key for key, value in state.items() if not isinstance(value, Tensor)]
        if not wrong:
            return dict(state)
    raise InputError(f"{path}: not a HiFi-GAN generator (its keys: {', '.join(map(str, list(content)[:5]))})")


def _to_public_names(state: Mapping[str, Tensor]) -> State:
    names = {}
    for key, value in state.items():
        name = key.removeprefix("module.")
        name = re.sub(r"parametrizations\.weight\.original([01])$", lambda m: "weight_" + "gv"[int(m[1])], name)
        names[name] = value
    return names


def _nest_resblocks(state: State, blocks_per_stage: int) -> State:
    """Convert the paper authors' numbering: `resblocks.7.convs...` -> `resblocks.2.1.convs...`."""

    def rename(match: re.Match[str]) -> str:
        stage, block = divmod(int(match[1]), blocks_per_stage)
        return f"resblocks.{stage}.{block}.convs"

    return {re.sub(r"^resblocks\.(\d+)\.convs", rename, key): value for key, value in state.items()}


def _match_weight_norm(state: State, expected: Mapping[str, Tensor]) -> State:
    matched: State = {}
    for key, value in state.items():
        base, _, leaf = key.rpartition(".")
        if leaf == "weight" and key not in expected and f"{base}.weight_g" in expected:
            matched[f"{base}.weight_g"] = weight_norms(value.float())
            matched[f"{base}.weight_v"] = value
        elif leaf == "weight_v" and f"{base}.weight" in expected and f"{base}.weight_g" in state:
            matched[f"{base}.weight"] = torch._weight_norm(value, state[f"{base}.weight_g"], 0)
        elif not (leaf == "weight_g" and f"{base}.weight" in expected and f"{base}.weight_v" in state):
            matched[key] = value
    return matched


def _find_config(
    path: Path, content: Mapping[str, Any], state: State, given: GeneratorConfig | Mapping[str, Any] | str | Path | None
) -> tuple[GeneratorConfig, AudioConfig]:
    """Return architecture and signal contract, from the first of: caller, file, JSON file beside it, tensor shapes."""
    setup = dictionary(path, content, "train_setup")
    framing = setup.get("framing", "vocoder")
    stored = dictionary(path, content, "config")
    in_file = GeneratorConfig.from_dict(stored, setup.get("num_mels", num_mels(state))) if stored else None
    config = in_file
    if isinstance(given, GeneratorConfig):
        config = given
    elif isinstance(given, Mapping):
        config = GeneratorConfig.from_dict(given, given.get("num_mels", num_mels(state)))
    elif given is not None:
        config, signal = read_config_file(given)
        setup = {**signal, **setup}
    if in_file is not None and config != in_file:
        raise InputError(f"{path}: the given generator configuration contradicts the checkpoint's own")
    beside = config_beside(path)
    if config is None and beside is not None:
        config, setup = read_config_file(beside)
    if config is None:
        config = _match_preset(path, state)
    audio = AudioConfig.from_dict({**setup, "num_mels": config.num_mels}, framing=framing)
    if audio.hop_length != config.hop_length:
        raise InputError(
            f"{path}: the upsampling rates multiply to {config.hop_length}, but hop_length is {audio.hop_length}"
        )
    return config, audio


def _match_preset(path: Path, state: State) -> GeneratorConfig:
    """Return the preset whose tensors have exactly these shapes, from which rates and dilations follow."""
    for preset in PRESETS.values():
        config = dataclasses.replace(preset, num_mels=num_mels(state))
        with torch.device("meta"):
            generator = Generator(config)
        expected = {key: value.shape for key, value in generator.state_dict().items()}
        given = _nest_resblocks(_to_public_names(state), len(config.resblock_kernel_sizes))
        given = _match_weight_norm(given, generator.state_dict())
        if expected == {key: value.shape for key, value in given.items()}:
            return config
    raise InputError(
        f"{path}: no generator configuration in the file or beside it (config.json), and its tensors do not match V1, "
        "V2 or V3; give one with --hifigan-config FILE.json"
    )
