"""Files of ParallelWaveGAN (`checkpoint-*.pkl`) and of joint text-to-wave models of ESPnet2, which has the same class.

Mels are log10. ParallelWaveGAN normalises them by the statistics in `stats.h5` before the first layer.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.audio_config import MelConvention
from common.errors import InputError, first_line
from common.files.arrays import encode_for_torch
from common.files.atomic import write_whole
from common.files.bounded.regular_files import read_bounded
from common.files.generators.file import (
    MELS,
    GeneratorFile,
    below,
    find_beside,
    public_names,
    renamed,
    require,
    section,
    settings_beside,
    taken,
    tensors_in,
    used_dilations,
)
from common.files.generators.writing import Portable, Writer, describe_mels, differing_mels, own_tensors
from common.files.yaml_files import dump_yaml

MOST_STATISTICS = 2**16  # values of a mean or a scale, one for each mel band
LARGEST_STATISTICS_BYTES = 2**20
ESPNET_PREFIX = "tts.generator.vocoder."
NAMES = (
    (r"^input_conv\.", "conv_pre."),
    (r"^upsamples\.(\d+)\.1\.", r"ups.\1."),
    (r"^output_conv\.1\.", "conv_post."),
    (r"^blocks\.(\d+)\.convs([12])\.(\d+)\.1\.", r"resblocks.\1.convs\2.\3."),
)
SINGLE = ((r"\.convs1\.", ".convs."),)  # blocks without additional convolutions
SIGNAL = {
    "sampling_rate": "sampling_rate",
    "fft_size": "filter_length",
    "hop_size": "hop_length",
    "win_length": "win_length",
    "num_mels": "num_mels",
    "fmin": "mel_fmin",
    "fmax": "mel_fmax",
}
ESPNET_SIGNAL = {**SIGNAL, "fs": "sampling_rate", "n_fft": "filter_length", "hop_length": "hop_length"}
ESPNET_SIGNAL |= {"n_mels": "num_mels"}
PARAMS = {
    "channels": "upsample_initial_channel",
    "upsample_scales": "upsample_rates",
    "upsample_kernal_sizes": "upsample_kernel_sizes",  # as in published configurations
    "upsample_kernel_sizes": "upsample_kernel_sizes",
    "resblock_kernel_sizes": "resblock_kernel_sizes",
    "resblock_dilations": "resblock_dilation_sizes",
}
WHERE = "copy its config.yml beside it"


def read(path: Path, content: Mapping[str, Any]) -> GeneratorFile | None:
    models = content.get("model")
    state = tensors_in(models.get("generator") if isinstance(models, Mapping) else None) or tensors_in(content)
    joint = below(state, ESPNET_PREFIX)
    state = public_names(joint or state)
    if not any(key.startswith("input_conv.") for key in state):
        return None
    return _espnet(path, state, tensors_in(content)) if joint else _parallel_wavegan(path, state)


def _parallel_wavegan(path: Path, state: dict[str, Tensor]) -> GeneratorFile:
    values = settings_beside(path, ("config.yml", "config.yaml"))
    require(values, ("generator_params", "sampling_rate", "hop_size"), path, WHERE)
    kind = values.get("generator_type", "HiFiGANGenerator")
    if kind != "HiFiGANGenerator":
        raise InputError(f"{path}: its generator_type is {kind}; only HiFiGANGenerator can be loaded")
    state, config = _network(path, state, section(values, "generator_params"))
    setup = taken(values, SIGNAL)
    setup.setdefault("win_length", setup.get("filter_length", 1024))
    setup |= {"framing": "tacotron", "log_base": "log10", "log_floor": 1e-10}
    if "log_base" in values:
        setup["log_base"] = {None: "ln", 10: "log10"}.get(values["log_base"], str(values["log_base"]))
    notes: tuple[str, ...] = ()
    statistics = _statistics(path)
    if statistics:
        state |= statistics
        config["normalised_input"] = True
    else:
        notes = ("no stats.h5 or stats.npy lies beside it: mels are taken as normalised already",)
        setup["obstacle"] = f"{path.name} needs the statistics of stats.h5 (or stats.npy) beside it"
    setup |= section(values, MELS)
    return GeneratorFile(path, state, config, setup, program="ParallelWaveGAN", notes=notes)


def _espnet(path: Path, state: dict[str, Tensor], whole: Mapping[str, Tensor]) -> GeneratorFile:
    values = settings_beside(path, ("config.yaml", "config.yml"))
    tts = section(values, "tts_conf")
    require(tts, ("vocoder_params",), path, "copy its config.yaml beside it")
    kind = tts.get("vocoder_type", "hifigan_generator")
    if kind != "hifigan_generator":
        raise InputError(f"{path}: its vocoder_type is {kind}; only hifigan_generator can be loaded")
    state, config = _network(path, state, section(tts, "vocoder_params"))
    setup = taken(section(values, "feats_extract_conf"), ESPNET_SIGNAL)
    setup.setdefault("win_length", setup.get("filter_length", 1024))
    setup |= {"framing": "tacotron", "log_base": "log10", "log_floor": 1e-10}
    mean, scale = whole.get("normalize.mean"), whole.get("normalize.std")
    if mean is not None and scale is not None:  # the model's mels are normalised before they reach the vocoder
        setup |= {"mel_mean": mean.flatten().tolist(), "mel_scale": scale.flatten().tolist()}
    return GeneratorFile(path, state, config, setup, program="ESPnet2")


def _network(
    path: Path, state: dict[str, Tensor], params: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and configuration of the class that both programs have."""
    for key, wanted in (("use_causal_conv", False), ("out_channels", 1), ("kernel_size", 7), ("bias", True)):
        if params.get(key, wanted) != wanted:
            raise InputError(f"{path}: {key} is {params[key]}; only generators with {wanted} can be loaded")
    if params.get("global_channels", -1) > 0:
        raise InputError(f"{path}: it takes the embedding of a speaker (global_channels) beside the mel")
    slope = section(params, "nonlinear_activation_params").get("negative_slope", 0.1)
    if params.get("nonlinear_activation", "LeakyReLU") != "LeakyReLU" or slope != 0.1:
        raise InputError(f"{path}: only generators with LeakyReLU of slope 0.1 can be loaded")
    pairs = bool(params.get("use_additional_convs", True))
    state = renamed(state, NAMES if pairs else (*NAMES, *SINGLE))
    config = taken(params, PARAMS)
    require(config, sorted(set(PARAMS.values())), path, WHERE)
    config |= {"resblock": "1" if pairs else "2", "exact_upsampling": True}
    config["resblock_dilation_sizes"] = used_dilations(config["resblock_dilation_sizes"], state)
    return state, config


def _statistics(path: Path) -> dict[str, Tensor]:
    """Return mean and scale of each band from the file beside the checkpoint, or nothing without one."""
    file = find_beside(path, ("stats.h5", "stats.npy"))
    if file is None:
        return {}
    try:
        if file.suffix == ".npy":
            content = read_bounded(file, LARGEST_STATISTICS_BYTES, "mean and scale of mels")
            mean, scale = np.load(io.BytesIO(content), allow_pickle=False)[:2]
        else:
            import h5py

            with h5py.File(file, "r") as opened:
                mean, scale = _read_hdf5(opened, "mean"), _read_hdf5(opened, "scale")
        return {
            "normalise.mean": torch.from_numpy(np.asarray(mean, np.float32).ravel()),
            "normalise.scale": torch.from_numpy(np.asarray(scale, np.float32).ravel()),
        }
    except ImportError as error:
        raise InputError(f"{file}: reading it needs the package h5py (pip install h5py), or stats.npy") from error
    except Exception as error:  # damaged bytes can raise almost any exception
        raise InputError(f"{file}: mean and scale of the mels cannot be read ({first_line(error)})") from error


def _read_hdf5(opened: Any, name: str) -> np.ndarray:
    """Read an array of an HDF5 file, which may refer to other files, or stand for terabytes of one value."""
    found = opened[name] if type(opened.get(name, getlink=True)).__name__ == "HardLink" else None
    if found is None or not hasattr(found, "chunks") or found.external or found.is_virtual:
        raise ValueError(f"{name} is not an array in this file")
    if max(found.size or 0, math.prod(found.chunks or ())) > MOST_STATISTICS or found.dtype.kind != "f":
        raise ValueError(f"{name} has shape {found.shape} of {found.dtype}, not a number for each band")
    values: np.ndarray = found[()]
    return values


def _write(path: Path, portable: Portable) -> list[str]:
    program, config, audio = "ParallelWaveGAN", portable.config, portable.audio
    portable.refuse(program, padding="zeros", output_bias=True)
    for rate, kernel in zip(config["upsample_rates"], config["upsample_kernel_sizes"], strict=True):
        if kernel != 2 * rate:
            raise InputError(f"--format: {program} needs kernels of twice the rate, not {kernel} for {rate}")
        if rate % 2 and not config.get("exact_upsampling"):
            portable.refuse_odd(program)
    portable.refuse_resampling(program)
    state = dict(portable.state)
    statistics = [state.pop(f"normalise.{name}", None) for name in ("mean", "scale")]
    pairs = config["resblock"] == "1"
    state = renamed(state, _their_names(pairs))
    params = {theirs: config[ours] for theirs, ours in PARAMS.items() if theirs != "upsample_kernal_sizes"}
    values = {
        "generator_type": "HiFiGANGenerator",
        "generator_params": {
            **params,
            "in_channels": audio.num_mels,
            "out_channels": 1,
            "kernel_size": 7,
            "bias": True,
            "use_additional_convs": pairs,
            "use_weight_norm": True,
            "nonlinear_activation": "LeakyReLU",
            "nonlinear_activation_params": {"negative_slope": 0.1},
        },
        **{theirs: getattr(audio, ours) for theirs, ours in SIGNAL.items()},
        **describe_mels(portable),
        "window": "hann",
        "format": "npy",
        "log_base": {"ln": None, "log10": 10.0}[portable.convention.log_base],
    }
    write_whole(path, encode_for_torch({"model": {"generator": own_tensors(state)}, "steps": 0, "epochs": 0}))
    write_whole(path.with_name("config.yml"), dump_yaml(values).encode())
    mean, scale = (None if tensor is None else tensor.cpu().numpy() for tensor in statistics)
    if mean is None or scale is None:  # normalisation that changes nothing
        mean, scale = np.zeros(audio.num_mels, np.float32), np.ones(audio.num_mels, np.float32)
    table = io.BytesIO()
    np.save(table, np.stack([mean, scale]).astype(np.float32))
    write_whole(path.with_name("stats.npy"), table.getvalue())
    own = MelConvention(log_base=portable.convention.log_base, log_floor=1e-10)
    return differing_mels(portable, program, {"framing": "tacotron"}, own)


def _their_names(pairs: bool) -> list[tuple[str, str]]:
    return [
        (r"^conv_pre\.", "input_conv."),
        (r"^ups\.(\d+)\.", r"upsamples.\1.1."),
        (r"^conv_post\.", "output_conv.1."),
        (
            (r"^resblocks\.(\d+)\.convs([12])\.(\d+)\.", r"blocks.\1.convs\2.\3.1.")
            if pairs
            else (r"^resblocks\.(\d+)\.convs\.(\d+)\.", r"blocks.\1.convs1.\2.1.")
        ),
    ]


WRITER = Writer(weight_norm=True, write=_write)
