"""Synthesises speech with HiFi-GAN: from texts (with FastPitch), from mel spectrograms, or from audio. See --help."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from common import distributed
from common.audio import AudioConfig
from common.cli import ArgumentParser, add_flags, from_flags, run
from common.data.mel_files import differences
from common.errors import InputError
from common.files.dllogger_lines import json_lines
from common.files.exports import is_export
from common.files.fingerprints import file_digest
from common.machine.precision import half_precision
from common.machine.timing import now_sec
from common.mel_contract import in_words
from common.progress import progress_bar
from common.synthesis.outputs import Part, PcmWriter, SpeechWriter, batches, describe_saved_mels
from common.synthesis.phrases import read_phrases
from common.synthesis.resume import Job, left_out, share
from common.synthesis.sources import copying, from_prepared_mels, is_audio
from common.synthesis.speed import Measured, report, summary
from fastpitch import load_fastpitch
from fastpitch.synthesis.pieces import SpeechConfig, digests, read_pieces
from fastpitch.synthesis.synthesiser import Synthesiser
from fastpitch.synthesis.text_flags import text_processor
from hifigan.backend import Backend, eager_backend
from hifigan.checkpoint import GeneratorInfo, load_generator
from hifigan.engine.select import choose_precision, engine_backend
from hifigan.export.files import FORMATS, load_export
from hifigan.generator import Generator
from hifigan.synthesis.flags import OWN_BACKENDS, STDOUT, InferenceConfig
from hifigan.synthesis.stream_vocoder import StreamConfig, StreamVocoder
from hifigan.synthesis.vocoder import Vocoder

PATIENCE = datetime.timedelta(days=30)  # a process may have hours of work more than another
# oneDNN keeps the kernels of each new length, 1024 of them by default, which 1,000 clips of different lengths grow to
# 500 MB. Streams and repeated runs meet the same lengths again and want them kept.
CACHED_KERNELS = "128"
CLOSED_PIPE = 141  # status of a program whose reader went away, as shells report it (128 + SIGPIPE)


@distributed.lost_peers_named()
def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(
        prog="inference.py",
        description="Texts, mel spectrograms or audio files -> speech. Broken off, it goes on where it was.",
        epilog="Several processes, started with torchrun, share the work. Flags may be written with - or _.",
    )
    add_flags(parser, InferenceConfig, "inference")
    add_flags(parser, StreamConfig, "streaming", only_with="stream")
    add_flags(parser, SpeechConfig, "text to speech", only_with="fastpitch")
    given = vars(parser.parse_args(argv))
    cfg, speech, stream = from_flags(InferenceConfig, given), speech_config(given), stream_config(given)
    if (cfg.mel_framing, cfg.mel_log) != ("auto", "auto") and (speech or is_audio(Path(cfg.input))):
        raise InputError("--mel-framing and --mel-log: have no effect without mels in files (-i)")
    if stream:
        check_stream(cfg, given)
    if cfg.output != STDOUT:
        infer(cfg, speech, stream)
        return 0
    samples = stdout_for_samples(cfg, speech, stream)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # nothing may come between the samples
            infer(cfg, speech, stream, samples)
    except BrokenPipeError:  # the player ended
        return CLOSED_PIPE
    return 0


def infer(
    cfg: InferenceConfig, speech: SpeechConfig | None, stream: StreamConfig | None, samples: FileIO | None = None
) -> None:
    """Makes the speech, as files or raw samples, and reports the figures.

    Raises:
        InputError: bad input; if it is that of some outputs, the others are made before.
    """
    if not stream and cfg.repeats == 1:
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", CACHED_KERNELS)  # read at the first convolution
    place = distributed.init(cfg.cuda, PATIENCE)
    try:
        if samples and place.world_size > 1:
            raise InputError(f"-o -: {place.world_size} processes cannot share one pipe; start one, without torchrun")
        generator, info = load_vocoder(cfg, place.device, speaks=speech is not None)
        if cfg.precision == "auto":  # one measures, so that all files are made alike
            chosen = choose_precision("auto", place.device) if place.is_main else ""
            cfg = dataclasses.replace(cfg, precision=distributed.gather(chosen)[0])
        job = speaking(cfg, speech, info, place.device) if speech else vocoding(cfg, info.audio)
        vocoder = choose_vocoder(generator, info, cfg, stream)
        writer: SpeechWriter | PcmWriter
        if samples:
            writer, names = PcmWriter(samples, info.audio, cfg.fade_out), list(job.made_of)
        else:
            save_mels = speech is not None and speech.save_mels
            writer = SpeechWriter(Path(cfg.output), info.audio, cfg.fade_out, save_mels)
            settings = describe_job(cfg, speech, stream, info)
            anew = cfg.overwrite or cfg.repeats > 1 or cfg.warmup_steps > 0  # a measurement wants all
            names = share(Path(cfg.output), settings, job, anew, (".npy",) if save_mels else (), place)
        with progress_bar("synthesising", "utt", len(names), place) as bar:
            if isinstance(vocoder, StreamVocoder):
                measured = synthesise_stream(job, names, vocoder, writer, cfg, bar)
            else:
                assert isinstance(writer, SpeechWriter)
                measured = synthesise(job, names, vocoder, writer, cfg, bar)
        figures = summary(distributed.gather(measured), job.speaks, info.audio.sampling_rate * cfg.repeats)
        problems = [problem for found in distributed.gather(job.problems) for problem in found]
        if place.is_main:
            if cfg.log_file or not samples:
                lines = json_lines(Path(cfg.log_file) if cfg.log_file else Path(cfg.output) / "nvlog_infer.json")
                lines.log([], figures)
                lines.flush()
            report(figures, len(job.made_of), "stdout" if samples else cfg.output, len(problems))
    finally:
        distributed.shutdown()
    if problems and place.is_main:  # one tells it for all
        raise InputError(left_out(problems, len(job.made_of)))


def stream_config(given: Mapping[str, Any]) -> StreamConfig | None:
    """The flags of streaming, None without --stream."""
    if "stream" in given:
        return from_flags(StreamConfig, given)
    if idle := [field.name for field in dataclasses.fields(StreamConfig) if field.name in given]:
        raise InputError(f"--{idle[0].replace('_', '-')}: has no effect without --stream")
    return None


def check_stream(cfg: InferenceConfig, given: Mapping[str, Any]) -> None:
    """Raises `InputError` for what cannot be had chunk by chunk."""
    if "batch_size" in given:
        raise InputError("--batch-size: has no effect with --stream, which makes one utterance after the other")
    if cfg.denoising_strength > 0:
        raise InputError("--stream: the denoiser needs whole utterances; leave out --denoising-strength")
    if cfg.precision != "fp32":
        raise InputError("--stream: is fp32, or with --amp mixed precision; leave out --precision")
    if cfg.torchscript:
        raise InputError("--stream: runs the layers one by one, not as TorchScript; leave out --torchscript")
    if cfg.backend in FORMATS or is_export(Path(cfg.hifigan)):
        raise InputError(
            f"--stream: {cfg.hifigan} is to run as an exported model, which takes whole mels; "
            "give the checkpoint that it was made from"
        )


def stdout_for_samples(cfg: InferenceConfig, speech: SpeechConfig | None, stream: StreamConfig | None) -> FileIO:
    """Standard output for -o -, unbuffered: what a player left unread is not tried again at the end."""
    if not stream:
        raise InputError("-o -: samples go to stdout as they are made, so give --stream, too; else give a directory")
    if speech and speech.save_mels:
        raise InputError("--save-mels: with -o - there are no files; give a directory")
    if cfg.overwrite:
        raise InputError("--overwrite: has no effect with -o -, which makes all anew")
    if sys.stdout is None or sys.stdout.isatty():
        raise InputError("-o -: stdout is a terminal or closed; add a player, such as | aplay -f S16_LE -r 22050")
    return FileIO(sys.stdout.fileno(), "w", closefd=False)


def load_vocoder(cfg: InferenceConfig, device: torch.device, speaks: bool) -> tuple[Generator | Backend, GeneratorInfo]:
    """The checkpoint or exported model of --hifigan, as --backend says."""
    exported = is_export(Path(cfg.hifigan))
    own = cfg.backend in OWN_BACKENDS
    if own and exported:
        raise InputError(f"--hifigan: {cfg.hifigan} is an exported model, not a checkpoint; add --backend auto")
    if own or (cfg.backend == "auto" and not exported):
        return load_generator(cfg.hifigan, cfg.hifigan_config or None, device, cfg.ema)
    # With --fastpitch, --amp and --torchscript still mean that model.
    fixed = ["hifigan_config", "ema", *([] if speaks else ["amp", "torchscript"])]
    idle = [name for name in fixed if getattr(cfg, name)]
    if cfg.precision != "fp32":
        idle.append("precision")
    if idle:
        raise InputError(
            f"--{idle[0].replace('_', '-')}: has no effect on {cfg.hifigan}, which is as export.py made it"
        )
    backend, contract = load_export(cfg.hifigan, device, cfg.backend)
    return backend, GeneratorInfo(Path(cfg.hifigan), contract.config, contract.audio, train_setup={}, epoch=None)


def choose_vocoder(
    generator: Generator | Backend, info: GeneratorInfo, cfg: InferenceConfig, stream: StreamConfig | None
) -> Vocoder | StreamVocoder:
    """What turns whole mels, or with --stream chunks of them, into audio."""
    if stream:
        assert isinstance(generator, Generator)  # by check_stream
        return StreamVocoder(generator, stream, cfg.amp)
    if isinstance(generator, Generator):
        if cfg.runs_eagerly:
            generator = eager_backend(generator, cfg.torchscript, cfg.amp)
        else:
            half = half_precision(generator.device)
            generator = engine_backend(generator, half if cfg.amp else cfg.precision)
    return Vocoder(generator, cfg.denoising_strength, info.audio.filter_length)


def describe_job(
    cfg: InferenceConfig, speech: SpeechConfig | None, stream: StreamConfig | None, info: GeneratorInfo
) -> dict[str, Any]:
    """What decides how all outputs sound, as plain values: contents of models, not their names."""
    names = ("ema", "amp", "precision", "torchscript", "denoising_strength", "fade_out")
    settings = {name: getattr(cfg, name) for name in names}
    settings |= {"hifigan": file_digest(cfg.hifigan), "generator": info.config.to_dict()}
    settings["audio"] = dataclasses.asdict(info.audio)
    if speech:
        settings |= {"fastpitch": file_digest(speech.fastpitch), **speech.manner()}
    if stream and cfg.amp:  # rounds otherwise than the engine
        settings["streamed"] = True
    if stream and stream.look_ahead is not None:  # with all of it, the files are those of whole mels
        settings |= {"look_ahead": stream.look_ahead, "chunk_frames": stream.chunk_frames}
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

    def parts(names: Collection[str]) -> Iterator[Part]:
        return (piece for piece in pieces if piece.name in names)

    return Job(digests(pieces), parts, synthesiser, speaks=True)


def vocoding(cfg: InferenceConfig, audio: AudioConfig) -> Job:
    """Audio files to be copied, or prepared mels to be vocoded."""
    source = Path(cfg.input)
    if is_audio(source):
        return copying(source, None if cfg.output == STDOUT else Path(cfg.output), audio)
    return from_prepared_mels(source, Path(cfg.dataset_path), audio, cfg.mel_framing, cfg.mel_log)


def synthesise(
    job: Job, names: Sequence[str], vocoder: Vocoder, writer: SpeechWriter, cfg: InferenceConfig, bar: tqdm
) -> Measured:
    """Writes these outputs and measures both models."""
    device, rate = vocoder.device, writer.audio.sampling_rate
    measured = Measured()
    parts = job.parts(frozenset(names))
    for number, batch in enumerate(batches(parts, cfg.batch_size)):
        for _ in range(cfg.warmup_steps if number == 0 else 0):
            vocoder(job.mels(batch))
        for _ in range(cfg.repeats):
            began = now_sec(device)
            mels = job.mels(batch)
            spoken = now_sec(device)
            wavs = vocoder(mels)
            ended = now_sec(device)
            frames, samples = sum(mel.size(1) for mel in mels), sum(len(wav) for wav in wavs)
            measured.add(spoken - began if job.speaks else 0.0, ended - spoken, frames, samples, rate)
        for part, wav, mel in zip(batch, wavs, mels, strict=True):
            if writer.add(part, wav, mel):
                measured.outputs += 1
                bar.update()
    return measured


def synthesise_stream(
    job: Job,
    names: Sequence[str],
    vocoder: StreamVocoder,
    writer: SpeechWriter | PcmWriter,
    cfg: InferenceConfig,
    bar: tqdm,
) -> Measured:
    """Writes these outputs in order, chunk by chunk, and measures both models without the writing."""
    rate = writer.audio.sampling_rate
    measured = Measured()
    for number, part in enumerate(job.parts(frozenset(names))):
        for _ in range(cfg.warmup_steps if number == 0 else 0):
            list(vocoder(job.mels([part])[0]))
        for turn in range(cfg.repeats):
            began = now_sec(vocoder.device)
            mel = job.mels([part])[0]
            speaking_sec = now_sec(vocoder.device) - began if job.speaks else 0.0
            first_sec, chunks_sec, samples = 0.0, [], 0
            for chunk in vocoder(mel):
                chunks_sec.append(chunk.took_sec)
                if samples == 0 and len(chunk.wav) > 0:
                    first_sec = speaking_sec + sum(chunks_sec)
                samples += len(chunk.wav)
                if turn == 0:
                    writer.add_chunk(part, chunk.wav)
            measured.add(speaking_sec, sum(chunks_sec), mel.size(1), samples, rate)
            measured.chunks_sec += chunks_sec
            if part.index == 0:  # the later pieces of a long text are heard behind it
                measured.first_audio_sec.append(first_sec)
            if turn == 0 and writer.finish(part, mel):
                measured.outputs += 1
                bar.update()
    return measured


if __name__ == "__main__":
    run(main, "inference.py")
