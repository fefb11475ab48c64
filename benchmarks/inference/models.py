"""Generators of the inference benchmark."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from benchmarks.inference.cases import Speech, count_frames
from benchmarks.inference.config import VocoderBenchmarkConfig
from benchmarks.inference.ways import WayMaker, list_ways
from common.errors import InputError
from common.files.exports import is_export
from hifigan.checkpoint import GeneratorInfo, load_generator
from hifigan.config import PRESETS, GeneratorConfig
from hifigan.generator import Generator


@dataclasses.dataclass(frozen=True)
class BenchmarkModel:
    """A generator, and all ways of running it."""

    name: str
    generator: Generator
    info: GeneratorInfo
    is_random: bool
    ways: list[WayMaker]


def load_models(
    cfg: VocoderBenchmarkConfig, device: torch.device, scratch: Path, speech: Speech | None
) -> list[BenchmarkModel]:
    """Load the generators and list their ways. Refuses exported files."""
    models: list[BenchmarkModel] = []
    for number, given in enumerate(cfg.hifigan):
        preset = PRESETS.get(given.lower())
        path = write_random_weights(preset, scratch / f"{given.lower()}.pt") if preset else Path(given)
        if is_export(path):
            raise InputError(f"--hifigan: {given} is an exported model; give its checkpoint, and it as --backends")
        generator, info = load_generator(path, (None if preset else cfg.hifigan_config) or None, device)
        if speech:
            speech.check_fits(info)
        name = name_architecture(info.config)
        if any(model.name == name for model in models):
            name = f"{name} {number + 1}"
        folder = scratch / str(number)
        folder.mkdir()
        ways = list_ways(generator, info, folder, cfg.amp, cfg.torchscript, cfg.backends, cfg.compiled)
        models.append(BenchmarkModel(name, generator, info, preset is not None, ways))
    return models


def write_random_weights(config: GeneratorConfig, path: Path) -> Path:
    """Write a checkpoint of an untrained generator with fixed random weights."""
    torch.manual_seed(0)
    torch.save({"generator": Generator(config).state_dict(), "config": config.to_dict(), "train_setup": {}}, path)
    return path


def name_architecture(config: GeneratorConfig) -> str:
    presets = [name.upper() for name, preset in PRESETS.items() if preset.to_dict() == config.to_dict()]
    return presets[0] if presets else "own architecture"


def describe(model: BenchmarkModel) -> str:
    parameters = sum(parameter.numel() for parameter in model.generator.parameters()) / 1e6
    audio = model.info.audio
    work = flop_per_frame(model.info.config) * audio.sampling_rate / audio.hop_length / 1e9
    weights = "random weights" if model.is_random else str(model.info.path)
    return f"{parameters:.2f} M parameters, {work:.1f} GFLOP per second of audio, {weights}"


def describe_mels(cfg: VocoderBenchmarkConfig, info: GeneratorInfo) -> dict[str, str]:
    frames = count_frames(cfg.seconds, info.audio)
    seconds = frames * info.audio.hop_length / info.audio.sampling_rate
    return {
        "input": f"{seconds:.2f} s ({frames} frames) an utterance: mels of a synthetic gliding tone in noise",
        "latency": "from a batch of mels on the device to its waveforms on the CPU",
    }


def flop_per_frame(config: GeneratorConfig) -> int:
    """Return the multiplications and additions (2 per pair) of all convolutions for one mel frame."""
    channels = config.upsample_initial_channel
    work, samples = config.num_mels * channels * 7, 1
    for rate, kernel in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
        work += samples * channels * (channels // 2) * kernel
        channels, samples = channels // 2, samples * rate
        for size, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True):
            convolutions = len(dilations) * (2 if config.resblock == "1" else 1)
            work += samples * channels * channels * size * convolutions
    return 2 * (work + samples * channels * 7)
