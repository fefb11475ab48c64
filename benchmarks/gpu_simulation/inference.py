"""Simulated inference with V1: mels of 8.05 s through the engine and the whole vocoder, streaming, denoising."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from benchmarks.gpu_simulation.counter import OperatorCounter, Tally
from benchmarks.gpu_simulation.device import DEVICE, simulated_gpu
from hifigan.config import PRESETS
from hifigan.denoiser import Denoiser
from hifigan.engine.select import engine_backend
from hifigan.generator import Generator
from hifigan.synthesis.flags import StreamConfig
from hifigan.synthesis.stream_vocoder import StreamVocoder
from hifigan.synthesis.vocoder import Vocoder

FRAMES = 693  # 8.05 s, not a multiple of the engine's step
BATCH_FRAMES = (693, 650, 640, 600, 590, 580, 570, 560)
PRECISIONS = ("fp16", "bf16", "tf32", "fp32")
CHUNKS_BEFORE = 8  # until a stream has reached its usual state
RUNS_BEFORE = 2  # an engine records a graph when a size comes again

Work = Callable[[], object]


def _new_generator() -> Generator:
    generator = Generator(PRESETS["v1"])
    generator.remove_weight_norm()
    return generator.to(DEVICE).eval().requires_grad_(False)


def _engine(precision: str, batch: int) -> Work:
    backend = engine_backend(_new_generator(), precision)
    mel = torch.empty(batch, 80, FRAMES, device=DEVICE)
    return lambda: backend.run(mel)


def _vocoder(precision: str, batch: int) -> Work:
    vocoder = Vocoder(engine_backend(_new_generator(), precision))
    mels = [torch.empty(80, frames, device=DEVICE) for frames in BATCH_FRAMES[:batch]]
    return lambda: vocoder(mels)


def _stream(amp: bool) -> Work:
    chunks = StreamVocoder(_new_generator(), StreamConfig(stream=True), amp)(torch.empty(80, FRAMES))
    for _ in range(CHUNKS_BEFORE):
        next(chunks)
    return lambda: next(chunks)


def _denoiser() -> Work:
    denoiser = Denoiser(_new_generator())
    wav = torch.empty(1, FRAMES * 256, device=DEVICE)
    return lambda: denoiser(wav, 0.01)


SCENARIOS: dict[str, Callable[[], Work]] = {
    **{f"engine-{precision}-1": lambda p=precision: _engine(p, 1) for precision in PRECISIONS},  # type: ignore[misc]
    "engine-fp16-8": lambda: _engine("fp16", 8),
    "vocoder-fp16-1": lambda: _vocoder("fp16", 1),
    "vocoder-fp16-8": lambda: _vocoder("fp16", 8),
    "vocoder-fp32-1": lambda: _vocoder("fp32", 1),
    "stream-fp16": lambda: _stream(True),
    "stream-fp32": lambda: _stream(False),
    "denoiser": _denoiser,
}
NAMES = tuple(SCENARIOS)


def measure(names: set[str]) -> Iterator[tuple[str, Tally]]:
    """Yield the tallies of scenarios when they have reached their usual state."""
    for name, prepare in SCENARIOS.items():
        if name in names:
            with simulated_gpu() as counter:
                yield name, _measure(prepare(), counter)


def _measure(work: Work, counter: OperatorCounter) -> Tally:
    for _ in range(RUNS_BEFORE):
        work()
    with counter.counting() as tally:
        work()
    return tally
