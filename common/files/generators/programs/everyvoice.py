"""Lightning checkpoints of EveryVoice, with the configuration inside. Mels and audio may have different rates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files.generators.file import GeneratorFile, below, public_names, section, taken, tensors_in, used_dilations

SIGNAL = {
    "input_sampling_rate": "sampling_rate",
    "output_sampling_rate": "output_sampling_rate",
    "n_fft": "filter_length",
    "fft_hop_size": "hop_length",
    "fft_window_size": "win_length",
    "n_mels": "num_mels",
    "f_min": "mel_fmin",
    "f_max": "mel_fmax",
}
ACTIVATION = "original_hifigan_leaky_relu"


def read(path: Path, content: Mapping[str, Any]) -> GeneratorFile | None:
    values = section(content, "hyper_parameters", "config")
    model = section(values, "model")
    state = public_names(below(tensors_in(content.get("state_dict")), "generator."))
    if "upsample_rates" not in model or not state:
        return None
    if model.get("istft_layer"):
        raise InputError(
            f"{path}: EveryVoice's iSTFT variant makes spectra, which need an inverse transform; not loaded"
        )
    activation = str(model.get("activation_function", ACTIVATION))
    if not activation.endswith(ACTIVATION):
        raise InputError(f"{path}: its activation is {activation}; only {ACTIVATION} can be loaded")
    config = dict(model)
    config["resblock_dilation_sizes"] = used_dilations(model.get("resblock_dilation_sizes", []), state)
    audio = section(values, "preprocessing", "audio")
    setup = {"mel_fmax": None, **taken(audio, SIGNAL), "framing": "tacotron", "log_base": "ln", "epsilon": 1e-9}
    kind = audio.get("spec_type", "mel-librosa")
    if kind != "mel-librosa":
        setup["obstacle"] = f"its spec_type is {kind}"
    return GeneratorFile(path, state, config, setup, "EveryVoice", epoch=content.get("epoch"))
