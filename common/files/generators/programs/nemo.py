"""NVIDIA NeMo's archives: `.nemo`, a tar file with `model_config.yaml` and `model_weights.ckpt`.

Mels have "vocoder" framing (`exact_pad`), but zeros beyond the edges, a symmetric window, and a masked last frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files.generators.file import GeneratorFile, below, public_names, section, taken, tensors_in, used_dilations
from common.files.generators.nemo_archives import NEMO_CONFIG

SIGNAL = {
    "sample_rate": "sampling_rate",
    "n_fft": "filter_length",
    "n_window_stride": "hop_length",
    "n_window_size": "win_length",
    "nfilt": "num_mels",
    "features": "num_mels",
    "lowfreq": "mel_fmin",
    "highfreq": "mel_fmax",
}


def read(path: Path, content: Mapping[str, Any]) -> GeneratorFile | None:
    if NEMO_CONFIG not in content:
        return None
    values = section(content, NEMO_CONFIG)
    state = public_names(below(tensors_in(content.get("state_dict")), "generator."))
    target = str(values.get("target", ""))
    if not state or (target and not target.endswith("HifiGanModel")):
        raise InputError(f"{path}: NeMo's {target.rpartition('.')[2] or 'model'}, not a HiFi-GAN generator")
    config = section(values, "generator")
    config["resblock_dilation_sizes"] = used_dilations(config.get("resblock_dilation_sizes", []), state)
    return GeneratorFile(path, state, config, _setup(section(values, "preprocessor")), program="NeMo")


def _setup(values: Mapping[str, Any]) -> dict[str, Any]:
    exact = bool(values.get("exact_pad", values.get("stft_exact_pad", False)))
    setup = {"mel_fmin": 0.0, "mel_fmax": None, **taken(values, SIGNAL)}
    obstacles = [
        f"{name} is {values[name]}" for name in ("preemph", "normalize") if values.get(name) not in (None, False, 0, "")
    ]
    if values.get("window", "hann") != "hann" or not values.get("log", True):
        obstacles.append("only logarithms of a spectrum with a Hann window can be made")
    return setup | {
        "framing": "vocoder" if exact else "tacotron",
        "log_base": "ln",
        "log_floor": values.get("log_zero_guard_value", 2**-24),
        "log_floor_added": values.get("log_zero_guard_type", "add") == "add",
        "spectrum_power": int(values.get("mag_power", 2)),
        "epsilon": 0.0,
        "edges": "zeros" if exact else "reflect",
        "window": "symmetric",
        "last_frame": float(values.get("pad_value", 0.0)) if exact else None,
        "obstacle": "; ".join(obstacles),
    }
