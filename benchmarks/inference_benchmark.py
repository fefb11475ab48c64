"""Latency of HiFi-GAN, or of FastPitch and HiFi-GAN, against batch size, precision and length: tables, JSON, a plot.

All that is compared is measured in one process: each round runs every configuration once, one after the other, so that
what else happens on the machine hits all alike. scripts/inference_benchmark.sh runs it with defaults.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import inference_report as report
from benchmarks import machine
from benchmarks.inference_rounds import Case, Variant, measure
from common import distributed
from common.audio import AudioConfig, MelSpectrogram
from common.config import ArgumentParser, add_flags, flag, from_flags, not_negative, positive, run
from common.errors import InputError
from common.mel_contract import in_words
from common.mels import differences
from common.phrases import Phrase, read_phrases
from fastpitch import load_fastpitch
from fastpitch.speech import Piece, SpeechConfig, read_pieces
from fastpitch.synthesis import Synthesiser
from fastpitch.text import text_processor
from hifigan.backends import eager_backend, is_export, load_export
from hifigan.checkpoint import GeneratorInfo, load_generator
from hifigan.config import PRESETS, GeneratorConfig
from hifigan.engine import engine_backend
from hifigan.generator import Generator
from hifigan.vocoding import Vocoder

PROGRAM = "inference_benchmark"
Speak = Callable[[bool], Callable[[Sequence[Any]], list[Tensor]]]


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
    """What is measured, and how often."""

    hifigan: str = flag("", "generator checkpoint of any public format (required)")
    hifigan_config: str = flag("", "v1, v2, v3 or a JSON file, for checkpoints without a generator configuration")
    fastpitch: str = flag("", "FastPitch checkpoint: texts are spoken; without it, HiFi-GAN alone is measured")
    phrases: str = flag("phrases/benchmark_8_128.tsv", "texts for --fastpitch: a batch of N is the first N of them")
    cmudict_path: str = flag("", "pronouncing dictionary for --fastpitch, as in inference.py")
    backends: tuple[str, ...] = flag((), "further files of export.py that are measured beside the checkpoint")
    batch_size: tuple[int, ...] = flag((1, 2, 4, 8), "batch sizes of the tables", short=("-bs",))
    seconds: float = flag(8.05, "length of an utterance of the tables; with --fastpitch, that of the texts")
    seconds_list: tuple[float, ...] = flag((1.0, 2.0, 4.0), "further lengths in the plot, at the smallest batch size")
    denoising: float = flag(0.01, "strength of the denoiser in the half of the tables that has it; 0 for no such half")
    amp: bool = flag(False, "measure mixed precision as well: fp16 on the GPU, bf16 on the CPU")
    torchscript: bool = flag(True, "run the models as TorchScript; FastPitch then stays in fp32")
    cuda: bool = flag(False, "run on the GPU (without it: on the CPU)")
    repeats: int | None = flag(None, "measured rounds; without it, 100 on the GPU and 10 on the CPU")
    warmup: int = flag(3, "rounds before these, with the very same inputs")
    output: str = flag(f"output/{PROGRAM}", "directory of the tables, the JSON file and the plot", short=("-o",))

    def __post_init__(self) -> None:
        if not self.hifigan:
            raise InputError(f"--hifigan: is required (see {PROGRAM} --help)")
        for size in self.batch_size:
            positive(batch_size=size)
        for seconds in self.seconds_list:
            positive(seconds_list=seconds)
        positive(seconds=self.seconds, repeats=self.rounds)
        not_negative(denoising=self.denoising, warmup=self.warmup)

    @property
    def rounds(self) -> int:
        return (100 if self.cuda else 10) if self.repeats is None else self.repeats


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    parser = ArgumentParser(prog=PROGRAM, description=__doc__, epilog="Flags may be written with - or _.")
    add_flags(parser, BenchmarkConfig, "benchmark")
    given = vars(parser.parse_args(words))
    for name in ("seconds",) if given.get("fastpitch") else ("phrases", "cmudict_path"):
        if name in given:
            how = "with" if given.get("fastpitch") else "without"
            raise InputError(f"--{name.replace('_', '-')}: has no effect {how} --fastpitch")
    cfg = from_flags(BenchmarkConfig, given)
    device = distributed.device_of(cfg.cuda)
    Path(cfg.output).mkdir(parents=True, exist_ok=True)  # now: what cannot be written is better known before hours
    made_on = machine.describe(device, f"benchmarks.{PROGRAM}", words)  # now: files may change while it runs
    generator, info = load_vocoder(cfg, device)
    speak: Speak
    if cfg.fastpitch:
        speech = Speech(cfg, info, device)
        cases, speak, inputs = speech.cases(), speech.synthesiser, speech.described
    else:
        cases, speak, inputs = mel_cases(cfg, info.audio, device), given_mels, described_mels(cfg, info.audio)
    variants = all_variants(cfg, generator, info, speak)
    measured = measure(variants, cases, cfg.warmup, cfg.rounds, device)
    header = {
        **made_on,
        "HiFi-GAN": f"{architecture(info.config)}, {parameters(generator)}, {info.path}",
        **inputs,
        "precision": precision_in_words(cfg, device),
        "rounds": f"{cfg.rounds} after {cfg.warmup} of warm-up; in each, every row of all tables was measured once",
    }
    rows = report.summarised(variants, cases, measured, info.audio, speaks=bool(cfg.fastpitch))
    print(report.write(Path(cfg.output), header, rows, cfg.torchscript))
    print(report.json_block(header, rows), end="")
    return 0


def load_vocoder(cfg: BenchmarkConfig, device: torch.device) -> tuple[Generator, GeneratorInfo]:
    """The checkpoint; exported files are refused here."""
    if is_export(Path(cfg.hifigan)):
        raise InputError(f"--hifigan: {cfg.hifigan} is an exported model; give its checkpoint, and it as --backends")
    return load_generator(cfg.hifigan, cfg.hifigan_config or None, device)


def all_variants(cfg: BenchmarkConfig, generator: Generator, info: GeneratorInfo, speak: Speak) -> list[Variant]:
    """PyTorch's, the one in full precision first, the engine's, then the exported files; with and without denoising.

    Args:
        speak: whether in mixed precision -> what makes a case's mels.
    """
    strengths = [cfg.denoising, 0.0] if cfg.denoising else [0.0]
    window = info.audio.filter_length
    variants = []
    for amp in (False, True) if cfg.amp else (False,):
        mels, name = speak(amp), precision_name(generator.device, amp)
        variants += [
            Variant(name, strength, mels, Vocoder(eager_backend(generator, cfg.torchscript, amp), strength, window))
            for strength in strengths
        ]
    half = "fp16" if generator.device.type == "cuda" else "bf16"
    for precision in ("fp32", half) if cfg.amp else ("fp32",):  # FastPitch stays in fp32
        engine = engine_backend(generator, precision)
        variants += [
            Variant(f"{precision} (engine)", strength, speak(False), Vocoder(engine, strength, window))
            for strength in strengths
        ]
    for path in cfg.backends:
        backend, contract = load_export(path, generator.device)
        if (contract.config, contract.audio) != (info.config, info.audio):
            raise InputError(f"--backends: {path} is an export of a model with other settings than {info.path}")
        name, mels, inside = f"{contract.precision} ({contract.format})", speak(False), contract.denoising_strength
        for strength in [0.0] if inside else strengths:
            variants.append(Variant(name, inside or strength, mels, Vocoder(backend, strength, filter_length=window)))
    return variants


def precision_name(device: torch.device, amp: bool) -> str:
    if not amp:
        return machine.full_precision(device)
    return f"{'fp16' if device.type == 'cuda' else 'bf16'} autocast"


def precision_in_words(cfg: BenchmarkConfig, device: torch.device) -> str:
    text = precision_name(device, amp=False)
    if text == "TF32":
        text += " in convolutions" + (" and matrix products" * torch.backends.cuda.matmul.allow_tf32)
    if cfg.amp:
        text += f"; {precision_name(device, amp=True)}, with the first two layers, the last and the denoiser in fp32"
        if cfg.fastpitch and cfg.torchscript:
            text += ", and FastPitch, whose TorchScript cannot leave autocast"
    return text


def architecture(config: GeneratorConfig) -> str:
    presets = [name.upper() for name, preset in PRESETS.items() if preset.to_dict() == config.to_dict()]
    return presets[0] if presets else "own architecture"


def parameters(model: torch.nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f} M parameters"


def given_mels(amp: bool) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    """Without FastPitch, the inputs are the mels, in any precision."""
    return list


def mel_cases(cfg: BenchmarkConfig, audio: AudioConfig, device: torch.device) -> list[Case]:
    """Batches of mels of the exact lengths, all made of one signal."""
    wav = torch.from_numpy(voice_like(max(cfg.seconds, *cfg.seconds_list) + 1, audio.sampling_rate)).float()
    mel = MelSpectrogram(audio)(wav[None])[0].to(device)
    smallest = min(cfg.batch_size)
    return [
        *(Case([mel[:, : frames_of(cfg.seconds, audio)]] * size, True) for size in sorted(set(cfg.batch_size))),
        *(Case([mel[:, : frames_of(sec, audio)]] * smallest, False) for sec in sorted(set(cfg.seconds_list))),
    ]


def frames_of(seconds: float, audio: AudioConfig) -> int:
    return max(1, round(seconds * audio.sampling_rate / audio.hop_length))


def voice_like(seconds: float, sampling_rate: int) -> np.ndarray:
    """A gliding harmonic tone in noise that swells and fades, [T] in [-1, 1]."""
    time = np.arange(int(seconds * sampling_rate)) / sampling_rate
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * time)) / sampling_rate
    tone = np.sum([np.sin(k * phase) / k for k in range(1, 20)], axis=0) * (0.6 + 0.4 * np.sin(6 * np.pi * time))
    wav = tone + 0.05 * np.random.default_rng(0).standard_normal(len(time))
    return 0.95 * wav / np.abs(wav).max()


def described_mels(cfg: BenchmarkConfig, audio: AudioConfig) -> dict[str, str]:
    frames = frames_of(cfg.seconds, audio)
    seconds = frames * audio.hop_length / audio.sampling_rate
    return {
        "input": f"{seconds:.2f} s ({frames} frames) an utterance: mels of a synthetic gliding tone in noise",
        "latency": "from a batch of mels on the device to its waveforms on the CPU",
    }


class Speech:
    """FastPitch and what it is to say.

    Raises:
        FileNotFoundError, InputError: a checkpoint or phrase file that cannot be used, or does not fit the vocoder.
    """

    def __init__(self, cfg: BenchmarkConfig, vocoder: GeneratorInfo, device: torch.device) -> None:
        self.model, self.info = load_fastpitch(cfg.fastpitch, device)
        if differing := differences(self.info.audio, vocoder.audio):
            raise InputError(
                f"{self.info.path} and {vocoder.path} do not fit together: {in_words(differing)}; take two models "
                "whose mels are made alike (python -m common.mel_contract A B compares them)"
            )
        self.cfg = cfg
        # Texts are never cut, so that a batch has as many utterances as it says.
        self.reading = SpeechConfig(
            fastpitch=cfg.fastpitch, cmudict_path=cfg.cmudict_path, split_longer_than=sys.maxsize
        )
        self.text = text_processor(self.reading, self.info)
        self.phrases = read_phrases(cfg.phrases)

    def synthesiser(self, amp: bool) -> Synthesiser:
        return Synthesiser(self.model, torchscript=self.cfg.torchscript, amp=amp)

    def cases(self) -> list[Case]:
        """The first phrases for the tables; for the plot, as many words of the first as last about so long."""
        pieces = self._pieces(self.phrases)
        batches = [list(itertools.islice(itertools.cycle(pieces), size)) for size in sorted(set(self.cfg.batch_size))]
        audio = self.info.audio
        (mel,) = Synthesiser(self.model)(pieces[:1])
        whole_sec = mel.size(1) * audio.hop_length / audio.sampling_rate
        first = self.phrases[0]
        words = (first.text or "").split()
        counts = {max(1, round(len(words) * seconds / whole_sec)) for seconds in self.cfg.seconds_list}
        texts = [" ".join(itertools.islice(itertools.cycle(words), count)) for count in sorted(counts)]
        others = self._pieces([dataclasses.replace(first, text=text) for text in texts])
        return [
            *(Case(batch, True) for batch in batches),
            *(Case([piece] * min(self.cfg.batch_size), False) for piece in others),
        ]

    def _pieces(self, phrases: Sequence[Phrase]) -> list[Piece]:
        predicted = [dataclasses.replace(phrase, pitch=None) for phrase in phrases]  # pitch files need a data set
        return read_pieces(predicted, Path(self.cfg.phrases), Path(), self.reading, self.info, self.text)

    @property
    def described(self) -> dict[str, str]:
        lengths = sorted({len(phrase.text or "") for phrase in self.phrases})
        characters = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
        return {
            "FastPitch": f"{parameters(self.model)}, {self.info.path}",
            "input": f"texts of {characters} characters, {self.cfg.phrases}",
            "latency": "from the start of FastPitch on a batch of symbols to the end of HiFi-GAN, waveforms on the CPU",
        }


if __name__ == "__main__":
    run(main, PROGRAM)
