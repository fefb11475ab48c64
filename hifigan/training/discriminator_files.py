"""Read the discriminators of every known program, for fine-tuning.

The programs' networks have the same tensors, but pool, stride and end a little differently, which shapes do not show.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from common.errors import InputError
from common.files.checkpoints import dictionary, read_file
from common.files.generators.file import (
    State,
    below,
    public_names,
    renamed,
    section,
    settings_beside,
    tensors_in,
)

NAMES = ("mpd", "msd")
CONFIG = "discriminator_config"  # key of our checkpoints for settings that are not the recipe's
PUBLISHED_POOL = 2  # padding of the multi-scale discriminator's pooling everywhere but in NVIDIA's recipe and NATSpeech
PWG_NAMES = (
    (r"^(discriminators\.\d+)\.layers\.7\.", r"\1.conv_post."),
    (r"^(discriminators\.\d+)\.layers\.(\d+)\.0\.", r"\1.convs.\2."),
    (r"^(discriminators\.\d+)\.convs\.(\d+)\.0\.", r"\1.convs.\2."),
    (r"^(discriminators\.\d+)\.output_conv\.", r"\1.conv_post."),
)
PARAMETRIZED = (
    (r"parametrizations\.weight\.original$", "weight_orig"),
    (r"parametrizations\.weight\.0\._([uv])$", r"weight_\1"),
)


@dataclasses.dataclass(frozen=True)
class DiscriminatorFile:
    """Discriminators in a checkpoint.

    Attributes:
        states: tensors under their public names, for each name in `NAMES`.
        config: settings that differ from this recipe's (`hifigan.config.DiscriminatorConfig`).
    """

    states: dict[str, State]
    config: dict[str, Any]


def read_discriminators(path: str | Path) -> DiscriminatorFile:
    """Read the discriminators of a checkpoint.

    Raises:
        FileNotFoundError: no such file.
        InputError: damaged, or without discriminators.
    """
    path = Path(path)
    content = read_file(path)
    state, config = _find(path, content)
    states = {name: public_names(below(state, f"{name}.")) for name in NAMES}
    states = {name: renamed(found, PARAMETRIZED) for name, found in states.items()}
    for name, found in states.items():
        if not found:
            raise InputError(f"{path}: not a discriminator checkpoint, it has no '{name}'")
    return DiscriminatorFile(states, config)


def _find(path: Path, content: Mapping[str, Any]) -> tuple[State, dict[str, Any]]:
    """Return the tensors of both under the prefixes `mpd.` and `msd.`, and the settings of the program."""
    if all(isinstance(content.get(name), Mapping) for name in NAMES):
        state = {f"{name}.{key}": value for name in NAMES for key, value in tensors_in(content[name]).items()}
        config = dictionary(path, content, CONFIG)
        if "steps" in content and "scaler_g" not in content and not config:  # the paper authors' `do_*`
            config = {"pool_padding": PUBLISHED_POOL}
        return state, config
    models = content.get("model")
    if isinstance(models, Mapping) and tensors_in(models.get("discriminator")):
        return _parallel_wavegan(path, tensors_in(models["discriminator"]))
    for found, prefix, padding in (
        (models, "model_d.", PUBLISHED_POOL),  # Coqui's trainer
        (content.get("model_disc"), "", PUBLISHED_POOL),  # Coqui's releases
        (content.get("state_dict"), "", PUBLISHED_POOL),  # NeMo, EveryVoice
        (section(content, "state_dict").get("model_disc"), "", 1),  # NATSpeech
    ):
        state = below(tensors_in(found), prefix)
        if any(key.startswith(NAMES) for key in state):
            return state, {} if padding == 1 else {"pool_padding": padding}
    return {}, {}


def _parallel_wavegan(path: Path, state: Mapping[str, Tensor]) -> tuple[State, dict[str, Any]]:
    """Return ParallelWaveGAN's discriminators. Only the configuration tells the strides."""
    named = {
        f"{name}.{key}": value for name in NAMES for key, value in renamed(below(state, f"{name}."), PWG_NAMES).items()
    }
    params = section(settings_beside(path, ("config.yml", "config.yaml")), "discriminator_params")
    scales = section(params, "scale_discriminator_params").get("downsample_scales", (2, 2, 4, 4, 1))
    pooling = section(params, "scale_downsample_pooling_params")
    try:
        strides = [1, *(int(scale) for scale in scales), 1]
        padding = int(pooling.get("padding", PUBLISHED_POOL))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: the discriminator_params of its config.yml cannot be read ({error})") from error
    return named, {"pool_padding": padding, "scale_strides": strides, "period_last_kernel": 2}
