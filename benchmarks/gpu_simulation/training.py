"""Simulated training of the vocoder: optimiser steps, validation, and batches from a cache on the GPU."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator
from typing import Any

import torch

import train
from benchmarks.gpu_simulation.counter import OperatorCounter, Tally
from benchmarks.gpu_simulation.device import DEVICE, simulated_gpu
from common.audio import AudioConfig
from common.distributed import Distributed
from common.training.sampling import ClipKey
from hifigan.config import PRESETS
from hifigan.training.flags import VocoderDataConfig, VocoderOptimConfig, VocoderRunConfig, VocoderTrainConfig
from hifigan.training.segment_cache import CachedSegments
from hifigan.training.segments import Segment, SegmentDataset
from hifigan.training.state import VocoderTrainState

SEGMENT_SAMPLES = 8192
CLIP_SAMPLES = 150_000  # 6.8 s
WARM_UP_CLIPS = 2  # the first step allocates optimisers' moments. Its batch size does not matter.


@dataclasses.dataclass(frozen=True)
class Run:
    """A way to train V1: number format ("fp16", "bf16", or "fp32" with TF32 convolutions), --fast, and processes."""

    precision: str = "fp16"
    fast: str = "on"
    world: int = 1

    def new_state(self) -> VocoderTrainState:
        amp = self.precision != "fp32"
        # Without graphs, since their operators are what counts.
        run = VocoderRunConfig(
            cuda=True, fast=self.fast, cuda_graphs=False, amp=amp, amp_dtype=self.precision if amp else "auto"
        )
        lists = VocoderDataConfig(training_files=("-",), validation_files=("-",), segment_size=SEGMENT_SAMPLES)
        cfg = VocoderTrainConfig(run, VocoderOptimConfig(), lists, AudioConfig(), PRESETS["v1"])
        state = VocoderTrainState(cfg, Distributed(0, 0, self.world, DEVICE))
        state.start_ema()
        return state


STEPS: dict[str, tuple[Run, int, int]] = {  # clips of a micro-batch, micro-batches
    "training-fp16-16": (Run(), 16, 1),
    "training-fp16-128": (Run(), 128, 1),
    "training-fp16-16x2": (Run(), 16, 2),
    "training-bf16-16": (Run("bf16"), 16, 1),
    "training-bf16-128": (Run("bf16"), 128, 1),
    "training-fp32-16": (Run("fp32"), 16, 1),
    "training-fp32-128": (Run("fp32"), 128, 1),
    "training-fp16-16-plain": (Run(fast="off"), 16, 1),
    "training-fp16-128-plain": (Run(fast="off"), 128, 1),
    "training-fp32-16-plain": (Run("fp32", fast="off"), 16, 1),
    "training-fp32-128-plain": (Run("fp32", fast="off"), 128, 1),
    "training-fp16-16-world-8": (Run(world=8), 16, 1),
    "training-fp16-16-world-16": (Run(world=16), 16, 1),
}
VALIDATION = "validation-fp16-16"
CACHED_BATCH = "cached-batch-16"
NAMES = (*STEPS, VALIDATION, CACHED_BATCH)


def measure(names: set[str]) -> Iterator[tuple[str, Tally]]:
    """Yield the tallies of scenarios."""
    runs = {run: [name for name in names if name in STEPS and STEPS[name][0] == run] for run, _, _ in STEPS.values()}
    if VALIDATION in names:
        runs[Run()].append(VALIDATION)
    for run, wanted in runs.items():
        if wanted:
            with simulated_gpu() as counter:
                yield from _measure_run(run, wanted, counter)
    if CACHED_BATCH in names:
        with simulated_gpu() as counter:
            yield CACHED_BATCH, _measure_cached_batch(counter)


def _measure_run(run: Run, names: list[str], counter: OperatorCounter) -> Iterator[tuple[str, Tally]]:
    state = run.new_state()
    unused: Any = None
    loop = train.VocoderLoop(state, unused, unused, unused, unused, unused)
    loop.step([_segments(WARM_UP_CLIPS)])
    for name in names:
        if name == VALIDATION:
            yield name, _measure_validation(state, counter)
            continue
        _, clips, micro_batches = STEPS[name]
        group = [_segments(clips) for _ in range(micro_batches)]
        with counter.counting() as tally:
            loop.step(group)
        yield name, tally


def _measure_validation(state: VocoderTrainState, counter: OperatorCounter) -> Tally:
    """Validate two batches."""
    loader = [_segments(16), _segments(16)]
    stop: Any = types.SimpleNamespace(received=0)
    with counter.counting() as tally:
        train.validate(state, loader, stop)
    return tally


def _measure_cached_batch(counter: OperatorCounter) -> Tally:
    """Assemble a batch from clips in the GPU's memory."""
    clips = CachedSegments(_ClipsWithoutFiles([], AudioConfig(), SEGMENT_SAMPLES, seed=1), DEVICE)
    with counter.counting() as tally:
        clips.__getitems__([ClipKey(clip, 0) for clip in range(16)])
    return tally


def _segments(clips: int) -> Segment:
    return (torch.empty(clips, SEGMENT_SAMPLES, device=DEVICE),)


class _ClipsWithoutFiles(SegmentDataset):
    """Data set of clips that are not on the disk."""

    def __len__(self) -> int:
        return 16

    def load(self, clip: int) -> Segment:
        return (torch.empty(CLIP_SAMPLES),)
