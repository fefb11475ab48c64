"""Read generator checkpoints of every public format. To add a format, edit this file.

Formats: this recipe's own and NVIDIA's pairs ({generator, config, train_setup, ...}) and the paper authors' files
({"generator": ...}, with the configuration in a JSON file beside them), and files of several networks, such as
PyTorch Lightning's ({"state_dict": {"generator....": ...}}). Names may have the prefix `module.` or `_orig_mod.`, or be
the names of PyTorch's parametrizations. The weight norm may have been removed (plain `weight` keys).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from common.errors import InputError
from common.files.checkpoints import dictionary, read_file
from common.files.json_files import read_json

State = dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class GeneratorFile:
    """Content of a generator checkpoint, whatever its format.

    Attributes:
        path: the file.
        state: tensors under their public names, but for the numbering of residual blocks.
        config: the generator's keys as stored in the file, or empty.
        setup: signal and training settings (`train_setup`), or empty.
        config_beside: JSON configuration beside a file that holds none.
        epoch: finished training epochs, None if unknown.
    """

    path: Path
    state: State
    config: dict[str, Any]
    setup: dict[str, Any]
    config_beside: Path | None
    epoch: int | None

    @property
    def framing(self) -> str:
        """Framing of its mels: "vocoder", unless the generator was fine-tuned on mels half a hop apart."""
        framing: str = self.setup.get("framing", "vocoder")
        return framing

    @property
    def num_mels(self) -> int:
        """Mel bands that the first layer takes."""
        for key, value in self.state.items():
            if key.rpartition("conv_pre.")[2] in ("weight", "weight_v"):
                return value.shape[1]
        return 80

    def signal_settings(self) -> dict[str, Any]:
        """Return the signal settings, from the file or from the configuration beside it, under the names used there."""
        stored = read_json(self.config_beside) if self.config_beside else self.setup
        return {"num_mels": self.num_mels, **stored, "framing": self.framing}


def _is_fastpitch(content: Mapping[str, Any]) -> bool:
    state = content.get("state_dict")
    return isinstance(state, Mapping) and any(str(name).endswith("encoder.word_emb.weight") for name in state)


def read_generator(path: str | Path, ema: bool = False) -> GeneratorFile:
    """Read a generator checkpoint.

    Args:
        path: the file.
        ema: read the moving average of the weights.

    Raises:
        FileNotFoundError: no such file.
        InputError: damaged, not a generator, or without a moving average.
    """
    path = Path(path)
    content = read_file(path)
    found = parse_generator(path, content, ema)
    if found is None:
        hint = "; it is a FastPitch model, which belongs to --fastpitch" if _is_fastpitch(content) else ""
        raise InputError(f"{path}: not a HiFi-GAN generator (its keys: {', '.join(map(str, list(content)[:5]))}){hint}")
    return found


def parse_generator(path: Path, content: Mapping[str, Any], ema: bool = False) -> GeneratorFile | None:
    """Return the generator in a checkpoint's content, or None if there is none."""
    state = content.get("generator", content.get("state_dict", content))
    if ema:
        state = content.get("gen_ema")
        if state is None:
            raise InputError(f"--ema: {path} has no moving average; it comes from training with --ema")
    state = _select_generator(state)
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        return None
    config = dictionary(path, content, "config")
    epoch = dictionary(path, content, "train_state").get("epoch")
    setup = dictionary(path, content, "train_setup")
    return GeneratorFile(path, public_names(state), config, setup, None if config else _config_beside(path), epoch)


def _select_generator(state: object) -> Mapping[str, Any]:
    """Return the generator among the tensors of several networks, as in PyTorch Lightning's files, or nothing.

    Its names have one prefix there, such as `generator.`.
    """
    if not isinstance(state, Mapping):
        return {}
    prefixes = {str(key).partition("conv_pre.")[0] for key in state if "conv_pre." in str(key)}
    prefix = min(prefixes, key=len, default=None)
    if prefix is None:
        return {}
    return {str(key).removeprefix(prefix): value for key, value in state.items() if str(key).startswith(prefix)}


def public_names(state: Mapping[str, Tensor]) -> State:
    """Rename tensors from a wrapper's or PyTorch's parametrization names to the public ones."""
    names = {}
    for key, value in state.items():
        name = key.removeprefix("module.").replace("_orig_mod.", "").removeprefix("module.")  # DDP and torch.compile
        name = re.sub(r"parametrizations\.weight\.original([01])$", lambda m: "weight_" + "gv"[int(m[1])], name)
        names[name] = value
    return names


def _config_beside(path: Path) -> Path | None:
    candidates = (path.with_name(path.name + ".json"), path.with_suffix(".json"), path.with_name("config.json"))
    return next((file for file in candidates if file.is_file()), None)
