"""Folders of Hugging Face's transformers and diffusers: SpeechT5HifiGan and FastSpeech2ConformerHifiGan.

The weights are plain. `normalize_before` puts (mel - mean) / scale before the first layer. Diffusers' AudioLDM
pipelines have the same class in their folder `vocoder`, and `..._with_hifigan` models below the prefix `vocoder.`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from common.audio_config import MelConvention
from common.errors import InputError
from common.files.atomic import write_whole
from common.files.generators.file import (
    MELS,
    GeneratorFile,
    below,
    hop_length,
    public_names,
    refuse_slope,
    renamed,
    require,
    section,
    settings_beside,
    tensors_in,
    used_dilations,
)
from common.files.generators.writing import Portable, Writer, describe_mels, differing_mels
from common.files.safetensors_files import write_tensors

# Both classes leave the mels to other parts of the pipeline, so these are the published models' settings.
ESPNET_MELS = {"mel_fmin": 80.0, "mel_fmax": 7600.0, "framing": "tacotron", "log_base": "log10", "log_floor": 1e-10}
AUDIOLDM_MELS = {"mel_fmin": 0.0, "mel_fmax": 8000.0, "framing": "tacotron", "log_base": "ln"}
AUDIOLDM_BANDS = 64
CONFIG_KEYS = ("upsample_rates", "upsample_kernel_sizes", "upsample_initial_channel")
BLOCK_KEYS = ("resblock_kernel_sizes", "resblock_dilation_sizes")


def read(path: Path, content: Mapping[str, Any]) -> GeneratorFile | None:
    state = public_names(tensors_in(content))
    if any(key.startswith("vocoder.upsampler.") for key in state):
        state = below(state, "vocoder.")
    if not any(key.startswith("upsampler.") for key in state):
        return None
    values = settings_beside(path, ("config.json",))
    values = section(values, "vocoder_config") or values
    where = "copy the folder as a whole, with its config.json"
    require(values, (*CONFIG_KEYS, *BLOCK_KEYS, "model_in_dim"), path, where)
    refuse_slope(values, "leaky_relu_slope", path)
    state = renamed(state, [(r"^upsampler\.", "ups.")])
    normalised = bool(values.get("normalize_before", True))
    statistics = {f"normalise.{name}": state.pop(name) for name in ("mean", "scale") if name in state}
    if normalised:
        if len(statistics) != 2:
            raise InputError(f"{path}: normalize_before is set, but mean and scale are missing in the file")
        state |= statistics
    config = {key: values[key] for key in (*CONFIG_KEYS, *BLOCK_KEYS)}
    config |= {"resblock": "1", "normalised_input": normalised}
    config["resblock_dilation_sizes"] = used_dilations(values["resblock_dilation_sizes"], state)
    return GeneratorFile(path, state, config, {**_setup(values), **section(values, MELS)}, program="transformers")


def _setup(values: Mapping[str, Any]) -> dict[str, Any]:
    mels = AUDIOLDM_MELS if values["model_in_dim"] == AUDIOLDM_BANDS else ESPNET_MELS
    return {
        "sampling_rate": values.get("sampling_rate", 22050),
        "filter_length": 1024,
        "win_length": 1024,
        "hop_length": hop_length(values["upsample_rates"]),
        "num_mels": values["model_in_dim"],
        **mels,
    }


def _write(path: Path, portable: Portable) -> list[str]:
    program = "transformers"
    portable.refuse(program, resblock="1", padding="zeros", output_bias=True)
    portable.refuse_exact_upsampling(program)
    normalised = bool(portable.config.get("normalised_input"))
    bands = portable.audio.num_mels
    state = renamed(portable.state, [(r"^ups\.", "upsampler."), (r"^normalise\.", "")])
    if not normalised:  # the class has these tensors in any case
        state |= {"mean": torch.zeros(bands), "scale": torch.ones(bands)}
    config = {
        "architectures": ["SpeechT5HifiGan"],
        "model_type": "hifigan",
        "leaky_relu_slope": 0.1,
        "model_in_dim": bands,
        "normalize_before": normalised,
        "sampling_rate": portable.output_rate,
        **describe_mels(portable),
        **{key: portable.config[key] for key in (*CONFIG_KEYS, *BLOCK_KEYS)},
    }
    path.mkdir(parents=True, exist_ok=True)
    write_tensors(path / "model.safetensors", state)
    write_whole(path / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    convention = MelConvention(log_base="log10", log_floor=1e-10)
    return differing_mels(portable, program, {"framing": "tacotron", "mel_fmin": 80.0, "mel_fmax": 7600.0}, convention)


WRITER = Writer(weight_norm=False, write=_write)
