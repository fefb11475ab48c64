"""Measure speed and quality of all ways to run HiFi-GAN, or FastPitch and HiFi-GAN: tables, JSON, and a plot.

Everything that is compared runs in one process. Each round runs every model, size, and way once, so that other load on
the machine affects all of them equally. scripts/inference_benchmark.sh runs it with defaults.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.inference import report
from benchmarks.inference.cases import Sizes, Speech, count_frames, given_mels, mel_cases, synthetic_mel
from benchmarks.inference.figures import InferenceResults, summarise
from benchmarks.inference.limits import ArithmeticLimit, flop_per_frame
from benchmarks.inference.quality import Quality, judge, read_clips
from benchmarks.inference.rounds import Case, Task, measure
from benchmarks.inference.start import Start, measure_starts
from benchmarks.inference.ways import PACKAGES, VocoderWay, all_ways
from common import distributed
from common.cli import ArgumentParser, add_flags, flag, folders, from_flags, not_negative, positive, run
from common.download.hub import find_fastpitch, find_generator
from common.errors import InputError
from common.files.exports import is_export
from common.machine import hardware
from common.machine.hardware import half_precision
from hifigan.checkpoint import GeneratorInfo, load_generator
from hifigan.config import PRESETS, GeneratorConfig
from hifigan.generator import Generator

PROGRAM = "inference_benchmark"


@dataclasses.dataclass(frozen=True)
class VocoderBenchmarkConfig:
    """Settings of the inference benchmark."""

    hifigan: tuple[str, ...] = flag(
        tuple(PRESETS),
        "generator checkpoints of any public format, folders of models or hub names (org/name); v1, v2 and v3 are "
        "presets with random weights",
        metavar="NAME|PATH",
        convert=find_generator,
    )
    hifigan_config: str = flag(
        "", "v1, v2, v3 or a JSON file, for checkpoints without a generator configuration", metavar="NAME|PATH"
    )
    fastpitch: str = flag(
        "",
        "FastPitch checkpoint, a model's folder or a hub name (org/name), to measure text to speech; by default, "
        "HiFi-GAN alone",
        metavar="NAME|PATH",
        convert=find_fastpitch,
    )
    phrases: str = flag(
        "phrases/benchmark_8_128.tsv",
        "file of texts; a batch of N is the first N of them",
        metavar="PATH",
        only_with="fastpitch",
    )
    cmudict_path: str = flag("", "pronouncing dictionary, as in inference.py", metavar="PATH", only_with="fastpitch")
    backends: tuple[str, ...] = flag(
        (), "further files of export.py; requires exactly one --hifigan, their model", metavar="PATH"
    )
    batch_size: tuple[int, ...] = flag((), "batch sizes (default: 1 2 4 8 on the GPU, 1 on the CPU)", short=("-bs",))
    seconds: float = flag(8.05, "main length of an utterance; texts have their own", not_with="fastpitch")
    seconds_list: tuple[float, ...] = flag((), "further lengths in seconds (default: 1 30 on the GPU, 1 on the CPU)")
    full: bool = flag(
        False, "measure all combinations of length, batch size and denoising, not only one change at a time"
    )
    denoising: float = flag(0.01, "strength of the denoiser in the cases with one; 0 skips these cases")
    amp: bool = flag(True, "measure 16-bit precisions as well")
    torchscript: bool = flag(True, "measure TorchScript as well, with FastPitch in fp32")
    wavs: str = flag(
        "", "folder of clips at the models' sampling rate for the quality gate; without it, no gate", metavar="PATH"
    )
    clips: int = flag(8, "clips of --wavs, the first ones in order")
    clip_seconds: float = flag(3.0, "seconds of each clip, from its beginning")
    starts: int = flag(2, "fresh processes of inference.py per way, to measure the start-up; 0 for none")
    cuda: bool = flag(False, "run on the GPU (default: on the CPU)")
    repeats: int | None = flag(None, "maximum of measured rounds (default: 100 on the GPU, 10 on the CPU)")
    warmup: int | None = flag(None, "identical rounds before the measured ones (default: 3 on the GPU, 2 on the CPU)")
    minutes: float = flag(6.0, "no further round begins after this time, once there are three")
    output: str = flag(
        f"output/{PROGRAM}", "directory of the tables, the JSON file and the plot", short=("-o",), metavar="PATH"
    )

    def __post_init__(self) -> None:
        folders(output=self.output)
        for size in self.batch_size:
            positive(batch_size=size)
        for seconds in self.seconds_list:
            positive(seconds_list=seconds)
        positive(seconds=self.seconds, repeats=self.rounds, minutes=self.minutes)
        positive(clips=self.clips, clip_seconds=self.clip_seconds)
        not_negative(denoising=self.denoising, warmup=self.warmup_rounds, starts=self.starts)
        if self.backends and len(self.hifigan) != 1:
            raise InputError("--backends: are exports of one model; name it alone with --hifigan")

    @property
    def rounds(self) -> int:
        return (100 if self.cuda else 10) if self.repeats is None else self.repeats

    @property
    def warmup_rounds(self) -> int:
        return (3 if self.cuda else 2) if self.warmup is None else self.warmup

    @property
    def sizes(self) -> Sizes:
        batches = self.batch_size or ((1, 2, 4, 8) if self.cuda else (1,))
        others = self.seconds_list or ((1.0, 30.0) if self.cuda else (1.0,))
        return Sizes(batches, (self.seconds, *sorted(set(others))), self.denoising > 0, self.full)


@dataclasses.dataclass(frozen=True)
class BenchmarkModel:
    """A generator, and all ways of running it."""

    name: str
    generator: Generator
    info: GeneratorInfo
    is_random: bool
    ways: list[VocoderWay]
    skipped: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    parser = ArgumentParser(prog=PROGRAM, description=__doc__, epilog="Flags may be written with - or _.")
    add_flags(parser, VocoderBenchmarkConfig, "benchmark")
    given = vars(parser.parse_args(words))
    cfg = from_flags(VocoderBenchmarkConfig, given)
    device = distributed.select_device(cfg.cuda)
    Path(cfg.output).mkdir(parents=True, exist_ok=True)  # now, to fail before hours of measurement
    made_on = hardware.describe(
        device, "benchmarks.inference.benchmark", words, PACKAGES
    )  # now, because files may change meanwhile
    with tempfile.TemporaryDirectory() as scratch:
        results = benchmark(cfg, device, Path(scratch))
    results.header = {**made_on, **results.header}
    print(report.write(Path(cfg.output), results))
    print(report.json_block(results), end="", flush=True)
    report.write_picture(Path(cfg.output), results)
    return 0


def benchmark(cfg: VocoderBenchmarkConfig, device: torch.device, scratch: Path) -> InferenceResults:
    """Run all measurements.

    Args:
        cfg: settings.
        device: measured device.
        scratch: folder for exports and random weights.

    Raises:
        InputError, FileNotFoundError: a file cannot be used, or a batch exceeds the GPU's memory.
    """
    speech = Speech(cfg.fastpitch, cfg.phrases, cfg.cmudict_path, device) if cfg.fastpitch else None
    models = load_models(cfg, device, scratch, speech)
    clips = {}
    for model in models if cfg.wavs else ():  # now, to fail before hours of measurement
        rate = model.info.audio.sampling_rate
        clips[model.name] = read_clips(Path(cfg.wavs), cfg.clips, cfg.clip_seconds, rate)
    limit = ArithmeticLimit(device, [way.precision for model in models for way in model.ways])
    tasks = [task for model in models for task in list_tasks(cfg, model, speech, device)]
    measured = measure(tasks, cfg.warmup_rounds, cfg.rounds, device, cfg.minutes, limit)
    works = {model.name: flop_per_frame(model.info.config) for model in models}
    audios = {model.name: model.info.audio for model in models}
    rows = summarise(tasks, measured, audios, works, limit.flop_per_sec, speaks=speech is not None)
    quality = {
        model.name: judge_model(model, clips[model.name], device) for model in models if clips and not model.is_random
    }
    starts = {model.name: measure_model_starts(cfg, model) for model in models if cfg.starts}
    described = speech.description if speech else describe_mels(cfg, models[0].info)
    rounds = len(measured[0].vocoding_sec)
    header = {
        **{f"HiFi-GAN {model.name}": describe(model) for model in models},
        **described,
        "rounds": f"{rounds} after {cfg.warmup_rounds} of warm-up; in each, every row of all tables was measured once",
        "arithmetic limit": ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in limit.flop_per_sec.items())
        + f": matrix products of {limit.size}^3, medians of the same rounds",
    }
    if cfg.wavs:
        header["quality"] = f"{cfg.clips} recordings of {cfg.wavs}, {cfg.clip_seconds:g} s at most of each"
    if skipped := dict.fromkeys(reason for model in models for reason in model.skipped):
        header["skipped"] = "; ".join(skipped)
    return InferenceResults(header, rows, quality, starts, limit.flop_per_sec)


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
        ways, skipped = all_ways(generator, info, folder, cfg.amp, cfg.torchscript, cfg.backends)
        models.append(BenchmarkModel(name, generator, info, preset is not None, ways, skipped))
    return models


def write_random_weights(config: GeneratorConfig, path: Path) -> Path:
    """Write a checkpoint of an untrained generator with fixed random weights."""
    torch.manual_seed(0)
    torch.save({"generator": Generator(config).state_dict(), "config": config.to_dict(), "train_setup": {}}, path)
    return path


def list_tasks(
    cfg: VocoderBenchmarkConfig, model: BenchmarkModel, speech: Speech | None, device: torch.device
) -> list[Task]:
    """Return every case in every way. Models with a denoiser inside only run in the cases with a denoiser."""
    audio = model.info.audio
    cases: list[Case] = speech.cases(cfg.sizes) if speech else mel_cases(cfg.sizes, audio, device)
    tasks = []
    vocoders = {}
    for case in cases:
        for way in model.ways:
            inside = way.backend.denoising_strength
            if inside and not case.denoised:
                continue
            outside = cfg.denoising if case.denoised and not inside else 0.0
            if (way.name, outside) not in vocoders:
                vocoders[way.name, outside] = way.vocoder(outside, audio.filter_length)
            mels = speech.synthesiser(way.scripted, way.mixed) if speech else given_mels
            vocoder = vocoders[way.name, outside]
            tasks.append(Task(model.name, way.name, way.precision, case, inside or outside, mels, vocoder))
    return tasks


def judge_model(model: BenchmarkModel, clips: Sequence[np.ndarray], device: torch.device) -> dict[str, Quality]:
    """Return the quality of every way without a denoiser inside, by name."""
    runs = {way.name: way.backend for way in model.ways if not way.backend.denoising_strength}
    return dict(zip(runs, judge(runs, clips, model.info.audio, device), strict=True))


def measure_model_starts(cfg: VocoderBenchmarkConfig, model: BenchmarkModel) -> list[Start]:
    """Measure the start-up of inference.py for one utterance of the main length."""
    half = half_precision("cuda" if cfg.cuda else "cpu")
    ways = ["", *([f"--precision {half}"] if cfg.amp else []), "--backend eager"]
    ways += ["--torchscript"] if cfg.torchscript else []
    words = [f"{way} --cuda".strip() if cfg.cuda else way for way in ways]
    config = "" if model.is_random else cfg.hifigan_config
    mel = synthetic_mel(cfg.seconds, model.info.audio)
    return measure_starts(model.info.path, config, mel, words, cfg.starts)


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


if __name__ == "__main__":
    run(main, PROGRAM)
