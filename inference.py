"""Synthesises speech with HiFi-GAN: from texts (with FastPitch), from mel spectrograms, or from audio. See --help."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common import distributed
from common.audio import AudioConfig
from common.config import ArgumentParser, add_flags, flag, from_flags, not_negative, positive, run
from common.distributed import Distributed
from common.errors import InputError
from common.filelists import file_digest
from common.jobs import is_finished, start_job
from common.mel_contract import LOG_BASES, in_words
from common.mels import differences
from common.phrases import read_phrases
from common.run_log import json_lines, watched
from common.speech_files import Part, SpeechWriter, describe_saved_mels
from common.timing import latency_summary, now_sec
from common.utterances import (
    Utterance,
    chosen_contracts,
    copied_utterances,
    find_audio,
    is_audio,
    mel_files,
    prepared_utterances,
)
from fastpitch import load_fastpitch
from fastpitch.speech import SpeechConfig, read_pieces
from fastpitch.synthesis import Synthesiser
from fastpitch.text import text_processor
from hifigan.backends import FORMATS, Backend, is_export, load_export
from hifigan.checkpoint import GeneratorInfo, load_generator
from hifigan.generator import Generator
from hifigan.vocoding import Vocoder

SORTED_BATCHES = 16  # so many batches are put in order of length at a time


@dataclasses.dataclass(frozen=True)
class InferenceConfig:
    """What to synthesise, with which model, and how it is measured."""

    input: str = flag(
        "", "phrase file, or an audio file or folder of them to copy-synthesise (required)", short=("-i",)
    )
    output: str = flag("", "directory for the wav files (required)", short=("-o",))
    hifigan: str = flag("", "generator checkpoint of any public format, or a model of export.py (required)")
    backend: str = flag(
        "eager",
        "what runs --hifigan: eager for a checkpoint, the format of a model of export.py, or auto to see by the file; "
        "an exported model is a program, so run only those that you trust",
        choices=("eager", "auto", *FORMATS),
    )
    hifigan_config: str = flag("", "v1, v2, v3 or a JSON file, for checkpoints without a generator configuration")
    ema: bool = flag(False, "take the generator's moving average of the weights (from training with --ema)")
    dataset_path: str = flag(
        "data/LJSpeech-1.1", "directory that the mel and pitch columns are relative to", short=("-d",)
    )
    mel_framing: str = flag(
        "auto",
        "framing of the mels of files: auto is as their audio_config.json says, else vocoder; the audio of tacotron "
        "framing is moved by half a hop, to where the original was",
        choices=("auto", "vocoder", "tacotron"),
    )
    mel_log: str = flag(
        "auto",
        "logarithm of the mels of files: auto is as their audio_config.json says, else ln; log10 is converted",
        choices=("auto", *LOG_BASES),
    )
    cuda: bool = flag(False, "run on the GPU (without it: on the CPU)")
    amp: bool = flag(
        False, "mixed precision: fp16 on the GPU, bf16 on the CPU; FastPitch stays in fp32 with --torchscript"
    )
    torchscript: bool = flag(False, "run the models as TorchScript")
    batch_size: int = flag(8, "utterances, or pieces of long texts, in one batch", short=("-bs",))
    denoising_strength: float = flag(0.0, "share of the generator's hum that is subtracted; 0.005 to 0.1 is usual")
    fade_out: int = flag(0, "frames over which the end of each utterance fades")
    repeats: int = flag(1, "measured runs of each batch")
    warmup_steps: int = flag(0, "runs of the first batch before anything is measured")
    overwrite: bool = flag(False, "make all anew, also what is there from this same job, broken off or not")
    log_file: str = flag("", "DLLogger file; without it, nvlog_infer.json in the output directory")

    def __post_init__(self) -> None:
        for name, short in (("input", "-i"), ("output", "-o"), ("hifigan", "--hifigan")):
            if not getattr(self, name):
                raise InputError(f"{short}: is required (see inference.py --help)")
        positive(batch_size=self.batch_size, repeats=self.repeats)
        not_negative(denoising_strength=self.denoising_strength, fade_out=self.fade_out, warmup_steps=self.warmup_steps)


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be synthesised.

    Attributes:
        sources: output name -> the file that it is made of, None for texts; in order.
        parts: the parts of these outputs, made as they are needed.
        mels: a batch of parts -> their mels [M, L].
        speaks: whether `mels` is FastPitch at work, and measured.
    """

    sources: Mapping[str, Path | None]
    parts: Callable[[Collection[str]], Iterable[Part]]
    mels: Callable[[Sequence[Any]], list[Tensor]]
    speaks: bool


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(
        prog="inference.py",
        description="Texts, mel spectrograms or audio files -> speech. Broken off, it goes on where it was.",
        epilog="Several processes, started with torchrun, share the work. Flags may be written with - or _.",
    )
    add_flags(parser, InferenceConfig, "inference")
    add_flags(parser, SpeechConfig, "text to speech")
    given = vars(parser.parse_args(argv))
    cfg, speech = from_flags(InferenceConfig, given), speech_config(given)
    if (cfg.mel_framing, cfg.mel_log) != ("auto", "auto") and (speech or is_audio(Path(cfg.input))):
        raise InputError("--mel-framing and --mel-log: have no effect without mels in files (-i)")
    place = distributed.init(cfg.cuda)
    try:
        generator, info = load_vocoder(cfg, place.device, speaks=speech is not None)
        job = speaking(cfg, speech, info, place.device) if speech else vocoding(cfg, info.audio)
        vocoder = Vocoder(generator, cfg.denoising_strength, cfg.torchscript, cfg.amp, info.audio.filter_length)
        writer = SpeechWriter(Path(cfg.output), info.audio, cfg.fade_out, speech is not None and speech.save_mels)
        figures = synthesise(job, outstanding(job, cfg, speech, place), vocoder, writer, cfg)
        if place.is_main:
            lines = json_lines(Path(cfg.log_file) if cfg.log_file else Path(cfg.output) / "nvlog_infer.json")
            lines.log([], figures)
            lines.flush()
            report(figures, len(job.sources), cfg)
    finally:
        distributed.shutdown()
    return 0


def load_vocoder(cfg: InferenceConfig, device: torch.device, speaks: bool) -> tuple[Generator | Backend, GeneratorInfo]:
    """The checkpoint or exported model of --hifigan, as --backend says."""
    exported = is_export(Path(cfg.hifigan))
    if cfg.backend == "eager" and exported:
        raise InputError(f"--hifigan: {cfg.hifigan} is an exported model, not a checkpoint; add --backend auto")
    if cfg.backend == "eager" or (cfg.backend == "auto" and not exported):
        return load_generator(cfg.hifigan, cfg.hifigan_config or None, device, cfg.ema)
    # With --fastpitch, --amp and --torchscript still mean that model.
    fixed = ["hifigan_config", "ema", *([] if speaks else ["amp", "torchscript"])]
    if idle := [name for name in fixed if getattr(cfg, name)]:
        raise InputError(
            f"--{idle[0].replace('_', '-')}: has no effect on {cfg.hifigan}, which is as export.py made it"
        )
    backend, contract = load_export(cfg.hifigan, device, cfg.backend)
    return backend, GeneratorInfo(Path(cfg.hifigan), contract.config, contract.audio, train_setup={}, epoch=None)


def outstanding(job: Job, cfg: InferenceConfig, speech: SpeechConfig | None, place: Distributed) -> list[str]:
    """This process's share of the outputs that are not there yet from the same models, input and settings."""
    output = Path(cfg.output)
    measures = cfg.repeats > 1 or cfg.warmup_steps > 0  # then all is wanted
    distributed.first_on_main(
        lambda: start_job(output, describe_job(cfg, speech), anew=cfg.overwrite or measures), place
    )
    names = [name for name, source in job.sources.items() if not is_finished(output / name, source)]
    names = distributed.gather(names)[0]  # the others may already write
    return names[place.rank :: place.world_size]


def describe_job(cfg: InferenceConfig, speech: SpeechConfig | None) -> dict[str, Any]:
    """What decides how the outputs sound, as plain values."""
    settings = dataclasses.asdict(cfg)
    for name in ("output", "log_file", "overwrite", "batch_size", "repeats", "warmup_steps", "cuda"):
        del settings[name]
    settings["hifigan_sha256"] = file_digest(cfg.hifigan)
    if Path(cfg.input).is_file():
        settings["input_sha256"] = file_digest(cfg.input)
    if speech:
        settings |= {**dataclasses.asdict(speech), "text_cleaners": list(speech.text_cleaners)}
        settings["fastpitch_sha256"] = file_digest(speech.fastpitch)
    return settings


def speech_config(given: Mapping[str, Any]) -> SpeechConfig | None:
    """The flags of text to speech, None without --fastpitch."""
    if "fastpitch" not in given:
        idle = [field.name for field in dataclasses.fields(SpeechConfig) if field.name in given]
        if idle:
            raise InputError(f"--{idle[0].replace('_', '-')}: has no effect without --fastpitch")
        return None
    if not given["fastpitch"]:
        raise InputError("--fastpitch: names no checkpoint")
    return from_flags(SpeechConfig, given)


def speaking(cfg: InferenceConfig, speech: SpeechConfig, vocoder: GeneratorInfo, device: torch.device) -> Job:
    """Texts to be spoken; all that can be wrong with them is found here."""
    source = Path(cfg.input)
    if is_audio(source):
        raise InputError(f"-i: {source} is audio; with --fastpitch, give a phrase file")
    model, info = load_fastpitch(speech.fastpitch, device, speech.fastpitch_ema)
    if differing := differences(info.audio, vocoder.audio):
        raise InputError(
            f"{info.path} and {vocoder.path} do not fit together: {in_words(differing)}; take two models whose mels "
            "are made alike (python -m common.mel_contract A B compares them)"
        )
    text = text_processor(speech, info)
    phrases, dataset = read_phrases(source), Path(cfg.dataset_path)
    pieces = read_pieces(phrases, source, dataset, speech, info, text)
    if speech.save_mels:
        pitch_files = [dataset / phrase.pitch for phrase in phrases if phrase.pitch]
        describe_saved_mels([phrase.output for phrase in phrases], Path(cfg.output), info.audio, pitch_files)
    synthesiser = Synthesiser(model, speech.pace, speech.pitch_transform(), cfg.torchscript, cfg.amp)
    sources = {phrase.output: None for phrase in phrases}
    return Job(sources, lambda names: (piece for piece in pieces if piece.name in names), synthesiser, speaks=True)


def vocoding(cfg: InferenceConfig, audio: AudioConfig) -> Job:
    """Audio files to be copied, or prepared mels to be vocoded."""
    source = Path(cfg.input)
    if is_audio(source):
        files, read = find_audio(source, Path(cfg.output)), partial(copied_utterances, audio=audio)
    else:
        dataset = Path(cfg.dataset_path)
        files = mel_files(read_phrases(source), source, dataset)
        contracts = chosen_contracts(files.values(), dataset, audio, cfg.mel_framing, cfg.mel_log)
        read = partial(prepared_utterances, contracts=contracts)

    def utterances(names: Collection[str]) -> Iterator[Utterance]:
        return read({name: path for name, path in files.items() if name in names})

    return Job(files, utterances, lambda batch: [utterance.mel for utterance in batch], speaks=False)


@dataclasses.dataclass
class Measured:
    """What the runs of one process took; frames and samples without padding."""

    speaking_sec: list[float] = dataclasses.field(default_factory=list)
    vocoding_sec: list[float] = dataclasses.field(default_factory=list)
    latencies_sec: list[float] = dataclasses.field(default_factory=list)
    rtfs: list[float] = dataclasses.field(default_factory=list)
    frames: int = 0
    samples: int = 0
    outputs: int = 0


def synthesise(
    job: Job, names: Sequence[str], vocoder: Vocoder, writer: SpeechWriter, cfg: InferenceConfig
) -> dict[str, float]:
    """Writes these outputs and measures both models; returns the figures of all processes."""
    device, rate = vocoder.device, writer.audio.sampling_rate
    measured = Measured()
    parts = job.parts(frozenset(names))
    with tqdm(total=len(names), desc="synthesising", unit="utt", disable=not watched()) as bar:
        for number, batch in enumerate(batches(parts, cfg.batch_size)):
            for _ in range(cfg.warmup_steps if number == 0 else 0):
                vocoder(job.mels(batch))
            for _ in range(cfg.repeats):
                began = now_sec(device)
                mels = job.mels(batch)
                spoken = now_sec(device)
                wavs = vocoder(mels)
                ended = now_sec(device)
                measured.speaking_sec.append(spoken - began)
                measured.vocoding_sec.append(ended - spoken)
                measured.latencies_sec.append(ended - began if job.speaks else ended - spoken)
                made = sum(len(wav) for wav in wavs)
                measured.frames += sum(mel.size(1) for mel in mels)
                measured.samples += made
                measured.rtfs.append(made / rate / measured.latencies_sec[-1])
            for part, wav, mel in zip(batch, wavs, mels, strict=True):
                if writer.add(part, wav, mel):
                    measured.outputs += 1
                    bar.update()
    return summary(distributed.gather(measured), job.speaks, rate * cfg.repeats)


def summary(processes: Sequence[Measured], speaks: bool, samples_per_sec: float) -> dict[str, float]:
    """The figures of all processes together: rates are summed up, latencies those of all batches."""
    worked = [measured for measured in processes if measured.latencies_sec]
    figures: dict[str, float] = {"utterances": sum(measured.outputs for measured in worked)}
    if not worked:
        return figures
    if speaks:
        figures["mel_gen_frames/s"] = sum(measured.frames / sum(measured.speaking_sec) for measured in worked)
    figures["hifigan_frames/s"] = sum(measured.frames / sum(measured.vocoding_sec) for measured in worked)
    figures["hifigan_samples/s"] = sum(measured.samples / sum(measured.vocoding_sec) for measured in worked)
    return {
        **figures,
        **latency_summary([latency for measured in worked for latency in measured.latencies_sec]),
        "RTF": float(np.mean([rtf for measured in worked for rtf in measured.rtfs])),
        "audio_sec": sum(measured.samples for measured in worked) / samples_per_sec,
    }


def batches(parts: Iterable[Part], size: int) -> Iterator[list[Part]]:
    """Groups of `size` and of like lengths, so that little is padded, made as they are needed.

    Only so many parts are in memory as are sorted by length at a time.
    """
    waiting = iter(parts)
    while window := list(islice(waiting, size * SORTED_BATCHES)):
        window.sort(key=lambda part: part.length, reverse=True)
        for start in range(0, len(window), size):
            yield window[start : start + size]


def report(figures: dict[str, float], total: int, cfg: InferenceConfig) -> None:
    """Prints the latency summary."""
    made = round(figures["utterances"])
    kept = f", {total - made} there already (--overwrite makes them anew)" if made < total else ""
    if not made:
        print(f"nothing to do: all {total} utterances are in {cfg.output} already (--overwrite makes them anew)")
        return
    speeds = [name for name in ("mel_gen_frames/s", "hifigan_frames/s", "hifigan_samples/s") if name in figures]
    print(
        f"{made} utterances, {figures['audio_sec']:.1f} s of audio -> {cfg.output}{kept}\n"
        + "".join(f"{name} {figures[name]:.0f} | " for name in speeds)
        + f"RTF {figures['RTF']:.2f}\n"
        f"latency of a batch: mean {figures['latency_avg']:.4f} s"
        + "".join(f" | {p}% {figures[f'latency_{p}%']:.4f} s" for p in (50, 90, 95, 99))
    )


if __name__ == "__main__":
    run(main, "inference.py")
