"""Synthesises speech with a trained HiFi-GAN: from mel spectrograms of a data set, or from wav files. See --help."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from common import distributed
from common.audio import (
    AUDIO_SUFFIXES,
    AudioConfig,
    MelSpectrogram,
    fade_out,
    load_wav,
    resample,
    save_wav,
)
from common.config import ArgumentParser, add_flags, flag, from_flags, not_negative, positive, run
from common.errors import InputError
from common.filelists import check_wavs
from common.mels import check_mel_config, read_mel
from common.phrases import Phrase, read_phrases, safe_name
from common.run_log import json_lines, watched
from common.timing import latency_summary, now_sec
from hifigan.checkpoint import load_generator
from hifigan.vocoding import Vocoder

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class InferenceConfig:
    """What to synthesise, with which model, and how it is measured."""

    input: str = flag(
        "", "phrase file, or an audio file or folder of them to copy-synthesise (required)", short=("-i",)
    )
    output: str = flag("", "directory for the wav files (required)", short=("-o",))
    hifigan: str = flag("", "generator checkpoint of any public format (required)")
    hifigan_config: str = flag("", "v1, v2, v3 or a JSON file, for checkpoints without a generator configuration")
    ema: bool = flag(False, "take the checkpoint's moving average of the weights (from training with --ema)")
    dataset_path: str = flag("data/LJSpeech-1.1", "directory that the mel column is relative to", short=("-d",))
    cuda: bool = flag(False, "run on the GPU (without it: on the CPU)")
    amp: bool = flag(False, "mixed precision: fp16 on the GPU, bf16 on the CPU")
    torchscript: bool = flag(False, "run the generator as TorchScript")
    batch_size: int = flag(8, "utterances in one batch", short=("-bs",))
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
class Utterance:
    """One thing to synthesise: its mel [M, L], output name, and length in samples (None: all of the mel)."""

    name: str
    mel: Tensor
    num_samples: int | None = None


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(prog="inference.py", description="Mel spectrograms or wav files -> speech.")
    add_flags(parser, InferenceConfig, "inference")
    cfg = from_flags(InferenceConfig, vars(parser.parse_args(argv)))
    device = distributed.device_of(cfg.cuda)
    generator, info = load_generator(cfg.hifigan, cfg.hifigan_config or None, device, cfg.ema)
    source = Path(cfg.input)
    if source.is_dir() or source.suffix.lower() in AUDIO_SUFFIXES:
        paths = find_audio(source, Path(cfg.output))
        count, utterances = len(paths), copied_utterances(paths, info.audio)
    else:
        phrases = read_phrases(source)
        files = mel_files(phrases, source, Path(cfg.dataset_path))
        check_mel_config(files.values(), Path(cfg.dataset_path), info.audio)
        count, utterances = len(phrases), prepared_utterances(files, info.audio.num_mels)
    vocoder = Vocoder(generator, cfg.denoising_strength, cfg.torchscript, cfg.amp, info.audio.filter_length)
    lines = json_lines(Path(cfg.log_file) if cfg.log_file else Path(cfg.output) / "nvlog_infer.json")
    figures = synthesise(utterances, count, vocoder, info.audio, cfg)
    lines.log([], figures)
    lines.flush()
    report(figures, cfg)
    return 0


def find_audio(source: Path, output: Path) -> dict[str, Path]:
    """Output name -> audio file below `source` (or `source` itself), checked before anything is written."""
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder (-i)")
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise InputError(f"-o: {output} lies in the folder of the originals (-i); give another folder")
    found = (path for path in source.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())
    files = [source] if source.is_file() else sorted(found)
    if not files:
        raise InputError(f"{source}: no audio files ({', '.join(AUDIO_SUFFIXES)}) in this folder (-i)")
    root = source.parent if source.is_file() else source
    named: dict[str, Path] = {}
    for path in files:
        name = safe_name(str(path.relative_to(root).with_suffix(".wav")))
        if name in named:
            raise InputError(f"{path} and {named[name]}: both would be written to {name}")
        if (output / name).resolve() == path.resolve():
            raise InputError(f"-o: {output} is where {path.name} lies, which would be overwritten; give another folder")
        named[name] = path
    check_wavs(files, None, progress=watched())
    return named


def copied_utterances(paths: dict[str, Path], audio: AudioConfig) -> Iterator[Utterance]:
    """Mels of audio files; other sampling rates are converted, the level is kept."""
    mel = MelSpectrogram(audio)
    for name, path in paths.items():
        wav, sampling_rate = load_wav(path)
        if sampling_rate != audio.sampling_rate:
            log.info("%s: resampled from %d to %d Hz", path, sampling_rate, audio.sampling_rate)
            wav = resample(wav, sampling_rate, audio.sampling_rate)
        # Whole frames, and enough samples for the mel spectrogram to reflect; the copy is as long as the original.
        padded = max(-(-len(wav) // audio.hop_length), audio.padding // audio.hop_length + 1) * audio.hop_length
        samples = torch.from_numpy(np.pad(wav, (0, padded - len(wav))).astype(np.float32))
        yield Utterance(name, mel(samples[None])[0], len(wav))


def mel_files(phrases: Sequence[Phrase], source: Path, dataset: Path) -> dict[str, Path]:
    """Output name -> mel file of each phrase; all must exist before anything is synthesised."""
    files = {}
    for phrase in phrases:
        if phrase.mel is None:
            raise InputError(f"{source}: {phrase.output} has no mel; a TSV needs a header with a 'mel' column")
        files[phrase.output] = dataset / phrase.mel
    missing = [path for path in files.values() if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{missing[0]}: no such mel ({len(missing)} of {len(files)} are missing); "
            "make them with scripts/prepare_dataset.sh, or point --dataset-path to the data set"
        )
    return files


def prepared_utterances(files: dict[str, Path], num_mels: int) -> Iterator[Utterance]:
    """Mels from `.pt` or `.npy` files."""
    for name, path in files.items():
        yield Utterance(name, read_mel(path, num_mels))


def synthesise(
    utterances: Iterator[Utterance], count: int, vocoder: Vocoder, audio: AudioConfig, cfg: InferenceConfig
) -> dict[str, float]:
    """Writes all utterances and measures the vocoder, padding not counted; returns the figures."""
    latencies: list[float] = []
    rtfs: list[float] = []
    samples = 0
    with tqdm(total=count, desc="synthesising", unit="utt", disable=not watched()) as bar:
        for number, batch in enumerate(batches(utterances, cfg.batch_size)):
            mels = [utterance.mel for utterance in batch]
            for _ in range(cfg.warmup_steps if number == 0 else 0):
                vocoder(mels)
            for _ in range(cfg.repeats):
                began = now_sec(vocoder.device)
                wavs = vocoder(mels)
                latencies.append(now_sec(vocoder.device) - began)
                made = sum(len(wav) for wav in wavs)
                samples += made
                rtfs.append(made / audio.sampling_rate / latencies[-1])
            for utterance, wav in zip(batch, wavs, strict=True):
                whole = wav.numpy()[: utterance.num_samples]
                save_wav(
                    Path(cfg.output) / utterance.name,
                    fade_out(whole, cfg.fade_out * audio.hop_length),
                    audio.sampling_rate,
                )
            bar.update(len(batch))
    total = sum(latencies)
    return {
        "hifigan_frames/s": samples / audio.hop_length / total,
        "hifigan_samples/s": samples / total,
        **latency_summary(latencies),
        "RTF": float(np.mean(rtfs)),
        "audio_sec": samples / audio.sampling_rate / cfg.repeats,
        "utterances": count,
    }


def batches(utterances: Iterator[Utterance], size: int) -> Iterator[list[Utterance]]:
    """Groups of `size`, in order, made as they are needed."""
    batch: list[Utterance] = []
    for utterance in utterances:
        batch.append(utterance)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def report(figures: dict[str, float], cfg: InferenceConfig) -> None:
    """Prints the latency summary."""
    print(
        f"{figures['utterances']:.0f} utterances, {figures['audio_sec']:.1f} s of audio -> {cfg.output}\n"
        f"hifigan_frames/s {figures['hifigan_frames/s']:.0f} | hifigan_samples/s {figures['hifigan_samples/s']:.0f} | "
        f"RTF {figures['RTF']:.2f}\n"
        f"latency of a batch: mean {figures['latency_avg']:.4f} s"
        + "".join(f" | {p}% {figures[f'latency_{p}%']:.4f} s" for p in (50, 90, 95, 99))
    )


if __name__ == "__main__":
    run(main, "inference.py")
