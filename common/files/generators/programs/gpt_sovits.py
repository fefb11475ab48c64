"""The vocoder of GPT-SoVITS v4: 100 bands of 32 kHz audio in, 48 kHz audio out, plain weights, no configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.files.generators.file import GeneratorFile, input_bands, public_names, tensors_in
from common.files.generators.shapes import kernels_of

KERNELS = (20, 12, 4, 4, 4)
SETUP = {
    "sampling_rate": 32000,
    "output_sampling_rate": 48000,
    "filter_length": 1280,
    "hop_length": 320,
    "win_length": 1280,
    "num_mels": 100,
    "mel_fmin": 0.0,
    "mel_fmax": None,
    "framing": "vocoder",
    "log_base": "ln",
}


def read(path: Path, content: Mapping[str, Any]) -> GeneratorFile | None:
    state = public_names(tensors_in(content.get("generator", content)))
    if input_bands(state) != SETUP["num_mels"] or kernels_of(state) != KERNELS:
        return None
    return GeneratorFile(path, state, setup=dict(SETUP), program="GPT-SoVITS v4")
