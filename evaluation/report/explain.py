"""One line on each system of the listening report: what makes its audio."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from common.errors import InputError
from common.files.exports import is_export
from common.files.generator_files import read_generator
from common.files.json_files import read_json
from common.synthesis.resume import JOB_FILE
from evaluation.systems import GRIFFIN_LIM, GRIFFIN_LIM_ITERATIONS, GROUND_TRUTH, System, generator_config
from hifigan.config import PRESETS, GeneratorConfig
from hifigan.generator import Generator


def explain(system: System, device: torch.device, num_mels: int) -> str:
    """Return what a system is: the recordings, Griffin-Lim, a generator with its size and file, or a folder.

    Args:
        system: of the evaluation.
        device: of the models.
        num_mels: mel bands of the models.
    """
    if system.name == GROUND_TRUTH:
        return "the recordings themselves, the best that a system can reach"
    if system.name == GRIFFIN_LIM:
        return (
            f"a baseline without a neural network: {GRIFFIN_LIM_ITERATIONS} iterations of the Griffin-Lim algorithm "
            "on the mel spectrogram"
        )
    place = short_path(system.source)
    if system.is_folder:
        generator = _generator_of_folder(Path(system.source))
        maker = f", made by inference.py with {_describe_generator(generator)}" if generator else ""
        return f"audio files of {place}{maker}"
    generator = GeneratorConfig.from_dict(generator_config(system, device), num_mels)
    words = [f"{_describe_generator(generator)}, file {place}"]
    if is_export(Path(system.source)):
        words.append("exported")
    elif (epoch := read_generator(system.source).epoch) is not None:
        words.append(f"after {epoch} epoch{'s' if epoch != 1 else ''} of training")
    words += ["moving average of the weights"] if system.ema else []
    words += [f"in {system.precision}"] if system.precision != "fp32" else []
    words += [f"denoiser {system.denoise:g}"] if system.denoise else []
    return ", ".join(words)


def short_path(source: str) -> str:
    """Return the last two parts of a path, which tell `hifigan.safetensors` of one voice from another's."""
    return "/".join(Path(source).resolve().parts[-2:])


def _describe_generator(config: GeneratorConfig) -> str:
    """Return "a HiFi-GAN V2 generator with 0.93 million parameters"."""
    with torch.device("meta"):
        model = Generator(config)
        model.remove_weight_norm()
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    size = f"{millions:.{2 if millions < 10 else 1}f} million parameters"
    presets = {dataclasses.replace(preset, num_mels=config.num_mels): name.upper() for name, preset in PRESETS.items()}
    return f"a HiFi-GAN {presets[config]} generator with {size}" if config in presets else f"a generator with {size}"


def _generator_of_folder(folder: Path) -> GeneratorConfig | None:
    """Return the generator that `inference.py` recorded in its output folder, None without a record."""
    try:
        settings = read_json(folder / JOB_FILE)["settings"]
        return GeneratorConfig.from_dict(settings["generator"], settings["audio"]["num_mels"])
    except (InputError, OSError, KeyError, TypeError):
        return None
