"""Files of this recipe, of NVIDIA's, and of the paper's authors, and bare tensors under the authors' names.

`{"generator": tensors, "config": ..., "train_setup": ...}`, `{"generator": tensors}` with a JSON configuration beside
it, or the tensors themselves, as torchaudio writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from common.files.checkpoints import dictionary
from common.files.generators.file import GeneratorFile, below, find_beside, public_names, tensors_in


def read(path: Path, content: Mapping[str, Any]) -> GeneratorFile | None:
    state = _state(content)
    if not any("conv_pre" in key for key in state):
        return None
    config = dictionary(path, content, "config") if "generator" in content else {}
    setup = dictionary(path, content, "train_setup")
    epoch = dictionary(path, content, "train_state").get("epoch")
    names = (f"{path.name}.json", path.with_suffix(".json").name, "config.json")
    beside = None if config else find_beside(path, names)
    return GeneratorFile(path, public_names(state), config, setup, config_beside=beside, epoch=epoch)


def _state(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the generator's tensors, also from the file of a program around it (`state_dict`, other networks)."""
    for found in (content.get("generator"), content.get("state_dict"), content):
        state = tensors_in(found)
        joint = below(state, "generator.")
        if any(key.startswith(("conv_pre", "module.conv_pre")) for key in joint):
            return joint
        if any("conv_pre" in key for key in state):
            return state
    return {}
