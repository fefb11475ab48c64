"""Files of Coqui TTS: `.pth` or `.pth.tar` with `config.json`.

Releases have the generator under `model`, today's trainer under the prefix `model_g.` in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.audio_config import MelConvention
from common.errors import InputError
from common.files.arrays import encode_for_torch
from common.files.atomic import write_whole
from common.files.generators.file import (
    FACTOR_NAMES,
    MELS,
    GeneratorFile,
    below,
    public_names,
    require,
    section,
    settings_beside,
    taken,
    tensors_in,
    used_dilations,
)
from common.files.generators.writing import Portable, Writer, describe_mels, differing_mels, own_tensors

SIGNAL = {
    "sample_rate": "sampling_rate",
    "fft_size": "filter_length",
    "hop_length": "hop_length",
    "win_length": "win_length",
    "num_mels": "num_mels",
    "mel_fmin": "mel_fmin",
    "mel_fmax": "mel_fmax",
}
LOG_BASES = {"np.log": "ln", "np.log10": "log10"}


def read(path: Path, content: Mapping[str, Any]) -> GeneratorFile | None:
    state = tensors_in(content.get("model"))
    joint = below(state, "model_g.")
    state = public_names(joint or state)
    if not any(key.startswith("conv_pre.") for key in state):
        return None
    values = section(content, "config") or settings_beside(path, ("config.json",))
    require(values, ("generator_model_params", "audio"), path, "copy its config.json beside it")
    kind = values.get("generator_model", "hifigan_generator")
    if kind != "hifigan_generator":
        raise InputError(f"{path}: Coqui's {kind}; only hifigan_generator can be loaded")
    params = section(values, "generator_model_params")
    if params.get("cond_channels"):
        raise InputError(f"{path}: it takes the embedding of a speaker (cond_channels) beside the mel")
    config = taken(params, FACTOR_NAMES)
    require(config, sorted(set(FACTOR_NAMES.values())), path, "its generator_model_params are incomplete")
    config["resblock_dilation_sizes"] = used_dilations(config["resblock_dilation_sizes"], state)
    config["output_bias"] = "conv_post.bias" in state
    epoch = content.get("epoch")
    setup = {**_setup(section(values, "audio")), **section(values, MELS)}
    return GeneratorFile(path, state, config, setup, "Coqui TTS", epoch=epoch if isinstance(epoch, int) else None)


def _setup(audio: Mapping[str, Any]) -> dict[str, Any]:
    """Return the signal settings."""
    setup = {"mel_fmax": None, **taken(audio, SIGNAL)}
    setup.setdefault("win_length", setup.get("filter_length", 1024))
    setup |= {
        "framing": "tacotron",
        "log_base": LOG_BASES.get(audio.get("log_func", "np.log10"), str(audio.get("log_func"))),
        "log_floor": 1e-8,
        "gain": audio.get("spec_gain", 20),
        "edges": {"reflect": "reflect", "constant": "zeros"}.get(audio.get("stft_pad_mode", "reflect"), "reflect"),
    }
    obstacles = []
    if audio.get("preemphasis"):
        obstacles.append(f"preemphasis is {audio['preemphasis']}")
    if audio.get("do_amp_to_db_mel") is False:
        obstacles.append("do_amp_to_db_mel is false")
    if audio.get("stats_path"):
        obstacles.append("its mels are normalised by the statistics in stats_path")
    elif audio.get("signal_norm"):
        setup |= _normalisation(audio)
    return setup | {"obstacle": "; ".join(obstacles)}


def _normalisation(audio: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scaling of decibels: min_level_db becomes 0 or -max_norm, the reference level max_norm."""
    lowest, reference, largest = (
        float(audio.get(name, default))
        for name, default in (("min_level_db", -100), ("ref_level_db", 20), ("max_norm", 4))
    )
    if audio.get("symmetric_norm", True):
        # y = 2 * largest * (x - reference - lowest) / -lowest - largest
        mean, scale, clip = reference + lowest / 2, -lowest / (2 * largest), (-largest, largest)
    else:
        mean, scale, clip = reference + lowest, -lowest / largest, (0.0, largest)
    return {"mel_mean": mean, "mel_scale": scale, **({"mel_clip": clip} if audio.get("clip_norm", True) else {})}


def _write(path: Path, portable: Portable) -> list[str]:
    program = "Coqui TTS"
    portable.refuse(program, padding="zeros", normalised_input=False)
    portable.refuse_exact_upsampling(program)
    audio, convention = portable.audio, portable.convention
    portable.refuse_resampling(program)
    params = {theirs: portable.config[ours] for theirs, ours in FACTOR_NAMES.items()}
    config = {
        "model": "hifigan",
        "generator_model": "hifigan_generator",
        "discriminator_model": "hifigan_discriminator",
        **describe_mels(portable),
        "generator_model_params": params,
        "audio": {
            **{theirs: getattr(audio, ours) for theirs, ours in SIGNAL.items()},
            "log_func": {ours: theirs for theirs, ours in LOG_BASES.items()}[convention.log_base],
            "spec_gain": convention.gain,
            "signal_norm": False,
            "preemphasis": 0.0,
            "stats_path": None,
            "do_amp_to_db_mel": True,
            "stft_pad_mode": "reflect",
        },
    }
    write_whole(path, encode_for_torch({"model": own_tensors(portable.state), "model_disc": {}}))
    write_whole(path.with_name("config.json"), (json.dumps(config, indent=4) + "\n").encode())
    own = MelConvention(log_base=convention.log_base, log_floor=1e-8, gain=convention.gain)
    return differing_mels(portable, program, {"framing": "tacotron"}, own)


WRITER = Writer(weight_norm=True, write=_write)
