"""Files of this recipe, of NVIDIA's, and of the paper's authors, and bare tensors under the authors' names.

`{"generator": tensors, "config": ..., "train_setup": ...}`, `{"generator": tensors}` with a JSON configuration beside
it, or the tensors themselves, as torchaudio writes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from common.audio_config import OUR_MELS
from common.files.arrays import encode_for_torch
from common.files.atomic import write_whole
from common.files.checkpoints import dictionary
from common.files.generators.file import GeneratorFile, below, find_beside, public_names, tensors_in
from common.files.generators.writing import Portable, Writer, differing_mels, own_tensors


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
        prefixes = {key.partition("conv_pre.")[0] for key in state if "conv_pre." in key}
        if prefixes:
            return below(state, min(prefixes, key=len))
    return {}


def _write(path: Path, portable: Portable) -> list[str]:
    program = "the paper authors' program"
    portable.refuse(program, padding="zeros", output_bias=True, normalised_input=False)
    portable.refuse_exact_upsampling(program)
    audio = portable.audio
    portable.refuse_resampling(program)
    config = {
        **{key: portable.config[key] for key in ("resblock", "upsample_rates", "upsample_kernel_sizes")},
        **{key: portable.config[key] for key in ("upsample_initial_channel", "resblock_kernel_sizes")},
        "resblock_dilation_sizes": portable.config["resblock_dilation_sizes"],
        "segment_size": 8192 // audio.hop_length * audio.hop_length,
        "num_mels": audio.num_mels,
        "n_fft": audio.filter_length,
        "hop_size": audio.hop_length,
        "win_size": audio.win_length,
        "sampling_rate": audio.sampling_rate,
        "fmin": audio.mel_fmin,
        "fmax": audio.mel_fmax,
        "fmax_for_loss": None,
    }
    write_whole(path, encode_for_torch({"generator": own_tensors(portable.state)}))
    write_whole(path.with_name("config.json"), (json.dumps(config, indent=4) + "\n").encode())
    return differing_mels(portable, program, {"framing": "vocoder"}, OUR_MELS)


WRITER = Writer(weight_norm=True, write=_write)
