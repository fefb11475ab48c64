"""Synthesises speech with HiFi-GAN: from texts (with FastPitch), from mel spectrograms, or from audio. See --help."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common import distributed
from common.audio import AudioConfig
from common.config import ArgumentParser, add_flags, flag, from_flags, not_negative, positive, run
from common.errors import InputError
from common.mels import check_mel_config, differences
from common.phrases import read_phrases
from common.run_log import json_lines, watched
from common.speech_files import Part, SpeechWriter, describe_saved_mels
from common.timing import latency_summary, now_sec
from common.utterances import (
    Utterance,
    copied_utterances,
    find_audio,
    is_audio,
    mel_files,
    prepared_utterances,
)
from fastpitch import load_fastpitch
from fastpitch.speech import SpeechConfig, read_pieces, text_processor
from fastpitch.synthesis import Synthesiser
from hifigan.backends import FORMATS, Backend, is_export, load_export
from hifigan.checkpoint import GeneratorInfo, load_generator
from hifigan.generator import Generator
from hifigan.vocoding import Vocoder


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
    ema: bool = flag(False, "take the checkpoint's moving average of the weights (from training with --ema)")
    dataset_path: str = flag(
        "data/LJSpeech-1.1", "directory that the mel and pitch columns are relative to", short=("-d",)
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
        parts: in order; made as they are needed.
        count: of the outputs; long texts have several parts.
        mels: a batch of parts -> their mels [M, L].
        speaks: whether `mels` is FastPitch at work, and measured.
    """

    parts: Iterable[Part]
    count: int
    mels: Callable[[Sequence[Any]], list[Tensor]]
    speaks: bool


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(prog="inference.py", description="Texts, mel spectrograms or audio files -> speech.")
    add_flags(parser, InferenceConfig, "inference")
    add_flags(parser, SpeechConfig, "text to speech")
    given = vars(parser.parse_args(argv))
    cfg, speech = from_flags(InferenceConfig, given), speech_config(given)
    device = distributed.device_of(cfg.cuda)
    generator, info = load_vocoder(cfg, device, speaks=speech is not None)
    job = speaking(cfg, speech, info, device) if speech else vocoding(cfg, info.audio)
    vocoder = Vocoder(generator, cfg.denoising_strength, cfg.torchscript, cfg.amp, info.audio.filter_length)
    writer = SpeechWriter(Path(cfg.output), info.audio, cfg.fade_out, speech is not None and speech.save_mels)
    lines = json_lines(Path(cfg.log_file) if cfg.log_file else Path(cfg.output) / "nvlog_infer.json")
    figures = synthesise(job, vocoder, writer, cfg)
    lines.log([], figures)
    lines.flush()
    report(figures, cfg)
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
    model, info = load_fastpitch(speech.fastpitch, device)
    if differing := differences(info.audio, vocoder.audio):
        raise InputError(f"{info.path} and {vocoder.path} do not fit together: {', '.join(differing)}")
    text = text_processor(speech, info)
    phrases, dataset = read_phrases(source), Path(cfg.dataset_path)
    pieces = read_pieces(phrases, source, dataset, speech, info, text)
    if speech.save_mels:
        pitch_files = [dataset / phrase.pitch for phrase in phrases if phrase.pitch]
        describe_saved_mels([phrase.output for phrase in phrases], Path(cfg.output), info.audio, pitch_files)
    synthesiser = Synthesiser(model, speech.pace, speech.pitch_transform(), cfg.torchscript, cfg.amp)
    return Job(pieces, len(phrases), synthesiser, speaks=True)


def vocoding(cfg: InferenceConfig, audio: AudioConfig) -> Job:
    """Audio files to be copied, or prepared mels to be vocoded."""
    source = Path(cfg.input)
    utterances: Iterable[Utterance]
    if is_audio(source):
        files = find_audio(source, Path(cfg.output))
        utterances = copied_utterances(files, audio)
    else:
        files = mel_files(read_phrases(source), source, Path(cfg.dataset_path))
        check_mel_config(files.values(), Path(cfg.dataset_path), audio)
        utterances = prepared_utterances(files, audio.num_mels)
    return Job(utterances, len(files), lambda batch: [utterance.mel for utterance in batch], speaks=False)


def synthesise(job: Job, vocoder: Vocoder, writer: SpeechWriter, cfg: InferenceConfig) -> dict[str, float]:
    """Writes all outputs and measures both models, padding not counted; returns the figures."""
    device, rate = vocoder.device, writer.audio.sampling_rate
    speaking_sec, vocoding_sec, latencies, rtfs = [], [], [], []
    frames = samples = 0
    with tqdm(total=job.count, desc="synthesising", unit="utt", disable=not watched()) as bar:
        for number, batch in enumerate(batches(job.parts, cfg.batch_size)):
            for _ in range(cfg.warmup_steps if number == 0 else 0):
                vocoder(job.mels(batch))
            for _ in range(cfg.repeats):
                began = now_sec(device)
                mels = job.mels(batch)
                spoken = now_sec(device)
                wavs = vocoder(mels)
                ended = now_sec(device)
                speaking_sec.append(spoken - began)
                vocoding_sec.append(ended - spoken)
                latencies.append(ended - began if job.speaks else ended - spoken)
                made = sum(len(wav) for wav in wavs)
                frames += sum(mel.size(1) for mel in mels)
                samples += made
                rtfs.append(made / rate / latencies[-1])
            for part, wav, mel in zip(batch, wavs, mels, strict=True):
                writer.add(part, wav, mel)
            bar.update(sum(part.last for part in batch))
    return {
        **({"mel_gen_frames/s": frames / sum(speaking_sec)} if job.speaks else {}),
        "hifigan_frames/s": frames / sum(vocoding_sec),
        "hifigan_samples/s": samples / sum(vocoding_sec),
        **latency_summary(latencies),
        "RTF": float(np.mean(rtfs)),
        "audio_sec": samples / rate / cfg.repeats,
        "utterances": job.count,
    }


def batches(parts: Iterable[Part], size: int) -> Iterator[list[Part]]:
    """Groups of `size`, in order, made as they are needed."""
    batch: list[Part] = []
    for part in parts:
        batch.append(part)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def report(figures: dict[str, float], cfg: InferenceConfig) -> None:
    """Prints the latency summary."""
    speeds = [name for name in ("mel_gen_frames/s", "hifigan_frames/s", "hifigan_samples/s") if name in figures]
    print(
        f"{figures['utterances']:.0f} utterances, {figures['audio_sec']:.1f} s of audio -> {cfg.output}\n"
        + "".join(f"{name} {figures[name]:.0f} | " for name in speeds)
        + f"RTF {figures['RTF']:.2f}\n"
        f"latency of a batch: mean {figures['latency_avg']:.4f} s"
        + "".join(f" | {p}% {figures[f'latency_{p}%']:.4f} s" for p in (50, 90, 95, 99))
    )


if __name__ == "__main__":
    run(main, "inference.py")
