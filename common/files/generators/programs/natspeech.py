"""Files of NATSpeech, DiffSinger and PortaSpeech: `state_dict.model_gen`, with `config.yaml` beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.files.generators.file import (
    GeneratorFile,
    public_names,
    require,
    section,
    settings_beside,
    taken,
    tensors_in,
    used_dilations,
)

SIGNAL = {
    "audio_sample_rate": "sampling_rate",
    "fft_size": "filter_length",
    "hop_size": "hop_length",
    "win_size": "win_length",
    "audio_num_mel_bins": "num_mels",
    "fmin": "mel_fmin",
    "fmax": "mel_fmax",
}
CONFIG_KEYS = (
    *("upsample_rates", "upsample_kernel_sizes", "upsample_initial_channel"),
    *("resblock", "resblock_kernel_sizes", "resblock_dilation_sizes"),
)


def read(path: Path, content: Mapping[str, Any]) -> GeneratorFile | None:
    state = public_names(tensors_in(section(content, "state_dict").get("model_gen")))
    if not any(key.startswith("conv_pre.") for key in state):
        return None
    values = settings_beside(path, ("config.yaml", "config.yml"))
    require(values, (*CONFIG_KEYS, "audio_sample_rate", "hop_size"), path, "copy its config.yaml beside it")
    config = {key: values[key] for key in CONFIG_KEYS}
    config["resblock_dilation_sizes"] = used_dilations(config["resblock_dilation_sizes"], state)
    setup = {**taken(values, SIGNAL), "framing": "tacotron", "edges": "zeros", "log_base": "log10", "log_floor": 1e-6}
    return GeneratorFile(path, state, config, setup, "NATSpeech")
