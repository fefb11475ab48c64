"""Files of bshall/hifigan: 16 kHz, 128 bands, no configuration. Training checkpoints have one level more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.files.generators.file import GeneratorFile, input_bands, public_names, tensors_in
from common.files.generators.shapes import kernels_of

KERNELS = (20, 8, 4, 4)
SETUP = {
    "sampling_rate": 16000,
    "filter_length": 1024,
    "hop_length": 160,
    "win_length": 1024,
    "num_mels": 128,
    "mel_fmin": 0.0,
    "mel_fmax": 8000.0,
    "framing": "vocoder",
    "log_base": "ln",
}


def read(path: Path, content: Mapping[str, Any]) -> GeneratorFile | None:
    inside = content.get("generator")
    state = public_names(tensors_in(inside["model"] if isinstance(inside, Mapping) and "model" in inside else content))
    if input_bands(state) != SETUP["num_mels"] or kernels_of(state) != KERNELS:
        return None
    return GeneratorFile(path, state, setup=dict(SETUP), program="bshall/hifigan")
