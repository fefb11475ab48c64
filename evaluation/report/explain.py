"""One line on each system of the listening report: what makes its audio."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import torch

from common.errors import InputError
from common.files.exports import is_export
from common.files.generators.read import read_generator
from common.files.json_files import read_json
from common.synthesis.resume import JOB_FILE
from evaluation.griffin_lim import GRIFFIN_LIM_ITERATIONS
from evaluation.spoken.systems import SpeakingSystem
from evaluation.systems import (
    GRIFFIN_LIM,
    GROUND_TRUTH,
    System,
    generator_config,
    load_audio_config,
)
from fastpitch.checkpoint import load_fastpitch
from fastpitch.model import ALIGNER_PREFIX
from hifigan.config import PRESETS, GeneratorConfig
from hifigan.generator import Generator
from voice.folder import find_voice

RECORDINGS = "the recordings themselves, the best that a system can reach"


def explain(system: System, device: torch.device) -> str:
    """Return what a system is: the recordings, Griffin-Lim, a generator with its size and file, or a folder.

    Args:
        system: of the evaluation.
        device: of the models.
    """
    if system.name == GROUND_TRUTH:
        return RECORDINGS
    if system.name == GRIFFIN_LIM:
        return (
            f"a baseline without a neural network: {GRIFFIN_LIM_ITERATIONS} iterations of the Griffin-Lim algorithm "
            "on the mel spectrogram"
        )
    if system.is_folder:
        return _explain_folder(system.source)
    num_mels = load_audio_config(system, device).num_mels
    generator = GeneratorConfig.from_dict(generator_config(system, device), num_mels)
    words = [f"{_describe_generator(generator)}, file {short_path(system.source)}"]
    words += ["exported"] if is_export(Path(system.source)) else _age(read_generator(system.source).epoch)
    words += ["moving average of the weights"] if system.ema else []
    words += [f"in {system.precision}"] if system.precision != "fp32" else []
    words += [f"denoiser {system.denoise:g}"] if system.denoise else []
    return ", ".join(words)


def explain_speaker(system: SpeakingSystem) -> str:
    """Return what a system of spoken texts is: the recordings, a voice with its two models, or a folder."""
    if system.folder:
        return _explain_folder(system.folder)
    if not system.voice:
        return RECORDINGS
    files = find_voice(system.voice)
    model, info = load_fastpitch(files.fastpitch)
    speaking = [parameter for name, parameter in model.named_parameters() if not name.startswith(ALIGNER_PREFIX)]
    acoustic = [f"a FastPitch model with {_count_millions(speaking)}", *_age(info.epoch)]
    vocoder = explain(System(system.name, str(files.hifigan)), torch.device("cpu"))
    return f"the voice {files.name}: {', '.join(acoustic)}, and {vocoder}"


def short_path(source: str) -> str:
    """Return the last two parts of a path, which tell `hifigan.safetensors` of one voice from another's."""
    return "/".join(Path(source).resolve().parts[-2:])


def _describe_generator(config: GeneratorConfig) -> str:
    """Return "a HiFi-GAN V2 generator with 0.93 million parameters"."""
    with torch.device("meta"):
        model = Generator(config)
        model.remove_weight_norm()
    size = _count_millions(model.parameters())
    presets = {dataclasses.replace(preset, num_mels=config.num_mels): name.upper() for name, preset in PRESETS.items()}
    return f"a HiFi-GAN {presets[config]} generator with {size}" if config in presets else f"a generator with {size}"


def _count_millions(parameters: Iterable[torch.Tensor]) -> str:
    millions = sum(parameter.numel() for parameter in parameters) / 1e6
    return f"{millions:.{2 if millions < 10 else 1}f} million parameters"


def _age(epoch: int | None) -> list[str]:
    """Return ["after 3 epochs of training"], or nothing if the number of epochs is unknown."""
    return [] if epoch is None else [f"after {epoch} epoch{'s' if epoch != 1 else ''} of training"]


def _explain_folder(folder: str) -> str:
    generator = _generator_of_folder(Path(folder))
    maker = f", made by inference.py with {_describe_generator(generator)}" if generator else ""
    return f"audio files of {short_path(folder)}{maker}"


def _generator_of_folder(folder: Path) -> GeneratorConfig | None:
    """Return the generator that `inference.py` recorded in its output folder, None without a record."""
    try:
        settings = read_json(folder / JOB_FILE)["settings"]
        return GeneratorConfig.from_dict(settings["generator"], settings["audio"]["num_mels"])
    except (InputError, OSError, KeyError, TypeError):
        return None
