"""Synthesise and measure the outputs of a job, in batches or chunk by chunk."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence

from torch import Tensor

from common.errors import others_go_on
from common.machine.timing import now_sec
from common.synthesis.outputs import Part, PcmWriter, SpeechWriter, batches
from common.synthesis.resume import SynthesisJob
from common.synthesis.speed import SynthesisTimes
from hifigan.synthesis.flags import InferenceConfig
from hifigan.synthesis.stream_vocoder import StreamVocoder
from hifigan.synthesis.vocoder import Vocoder

# oneDNN caches the kernels of each new length, by default 1024 of them: after 1,000 clips of different lengths, 500 MB.
# Streams and repeated runs meet the same lengths again and need the whole cache.
CACHED_KERNELS = "128"


def limit_kernel_cache(cfg: InferenceConfig, streams: bool) -> None:
    """Bound oneDNN's cache where no length comes twice."""
    if not streams and cfg.repeats == 1:
        bound_kernel_cache()


def bound_kernel_cache() -> None:
    """Bound oneDNN's cache, unless the user has. It reads the limit at the first convolution of the process."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", CACHED_KERNELS)


def synthesise(
    job: SynthesisJob,
    names: Collection[str],
    vocoder: Vocoder | StreamVocoder,
    writer: SpeechWriter | PcmWriter,
    cfg: InferenceConfig,
    count: Callable[[], object],
) -> SynthesisTimes:
    """Write these outputs of a job and measure both models, without the writing.

    Args:
        job: all outputs.
        names: the outputs to make.
        vocoder: runs on their mels.
        writer: gets the audio. A vocoder of whole mels needs a `SpeechWriter`.
        cfg: batch size, repeats and warm-up.
        count: called after each output.
    """
    if isinstance(vocoder, StreamVocoder):
        return _stream(job, names, vocoder, writer, cfg, count)
    assert isinstance(writer, SpeechWriter)
    return _batch(job, names, vocoder, writer, cfg, count)


def _batch(
    job: SynthesisJob,
    names: Collection[str],
    vocoder: Vocoder,
    writer: SpeechWriter,
    cfg: InferenceConfig,
    count: Callable[[], object],
) -> SynthesisTimes:
    device, rate = vocoder.device, writer.audio.sampling_rate
    times = SynthesisTimes()
    parts = job.parts(frozenset(names))

    def run(batch: Sequence[Part]) -> list[tuple[Part, Tensor, Tensor]]:
        for _ in range(cfg.repeats):
            began = now_sec(device)
            mels = job.mels(batch)
            spoken = now_sec(device)
            wavs = vocoder(mels)
            ended = now_sec(device)
            frames, samples = sum(mel.size(1) for mel in mels), sum(len(wav) for wav in wavs)
            times.add(spoken - began if job.speaks else 0.0, ended - spoken, frames, samples, rate)
        return list(zip(batch, wavs, mels, strict=True))

    def run_usable(batch: Sequence[Part]) -> list[tuple[Part, Tensor, Tensor]]:
        problems: list[str] = []
        with others_go_on(batch[0].name, problems):
            return run(batch)
        if len(batch) > 1:  # one of them did it
            return [made for part in batch for made in run_usable([part])]
        job.problems.extend(problems)
        return []

    for number, batch in enumerate(batches(parts, cfg.batch_size)):
        for _ in range(cfg.warmup_steps if number == 0 else 0):
            vocoder(job.mels(batch))
        for part, wav, mel in run_usable(batch):
            with others_go_on(part.name, job.problems):
                if writer.add(part, wav, mel):
                    times.outputs += 1
                    count()
    return times


def _stream(
    job: SynthesisJob,
    names: Collection[str],
    vocoder: StreamVocoder,
    writer: SpeechWriter | PcmWriter,
    cfg: InferenceConfig,
    count: Callable[[], object],
) -> SynthesisTimes:
    rate = writer.audio.sampling_rate
    times = SynthesisTimes()
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
            times.add(speaking_sec, sum(chunks_sec), mel.size(1), samples, rate)
            times.chunks_sec += chunks_sec
            if part.index == 0:  # later pieces of a long text are heard after the first
                times.first_audio_sec.append(first_sec)
            if turn == 0 and writer.finish(part, mel):
                times.outputs += 1
                count()
    return times
