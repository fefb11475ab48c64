"""Files of SpeechBrain: `generator.ckpt` with `hyperparams.yaml`. Its convolutions pad by reflection.

The file does not mention mels, so the settings of SpeechBrain's recipes are assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files.generators.file import (
    FACTOR_NAMES,
    GeneratorFile,
    hop_length,
    public_names,
    renamed,
    require,
    settings_beside,
    taken,
    tensors_in,
    used_dilations,
)

LOW_RATE = "16k"  # published models tell their rate by the name of their folder only


def read(path: Path, content: Mapping[str, Any]) -> GeneratorFile | None:
    state = public_names(tensors_in(content))
    if not any(key.startswith("conv_pre.conv.") for key in state):
        return None
    values = settings_beside(path, ("hyperparams.yaml", "hyperparams.yml"))
    require(values, FACTOR_NAMES, path, "copy its hyperparams.yaml beside it")
    if values.get("cond_channels"):
        raise InputError(f"{path}: it takes the embedding of a speaker (cond_channels) beside the mel")
    state = renamed(state, [(r"\.conv\.(weight|weight_g|weight_v|bias)$", r".\1")])
    config = taken(values, FACTOR_NAMES)
    config["resblock_dilation_sizes"] = used_dilations(config["resblock_dilation_sizes"], state)
    config |= {"padding": "reflect", "output_bias": "conv_post.bias" in state}
    rate = 16000 if LOW_RATE in path.resolve().parent.name.lower() else 22050
    setup = {
        "sampling_rate": int(values.get("sample_rate", rate)),
        "filter_length": 1024,
        "win_length": 1024,
        "hop_length": hop_length(config["upsample_rates"]),
        "num_mels": int(values.get("in_channels", 80)),
        "mel_fmin": 0.0,
        "mel_fmax": 8000.0,
        "framing": "tacotron",
        "log_base": "ln",
    }
    note = f"hyperparams.yaml does not tell the sampling rate: {setup['sampling_rate']} Hz is assumed"
    return GeneratorFile(path, state, config, setup, "SpeechBrain", notes=() if "sample_rate" in values else (note,))
