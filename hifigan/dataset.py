"""Training and validation segments, and their order.

Which clips and crops an optimiser step uses depends on the seed and the step alone: the order comes from a
counter-based generator (Philox), not from a stream that workers or processes consume.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from common.audio import load_wav_at, normalise_peak
from common.errors import InputError

VALIDATION_SEGMENTS = 5  # deterministic segments per validation clip, the published protocol
_VALIDATION_SEED = 0  # not the run's: validation losses of different runs are comparable
_ORDER, _CROP = 0, 1  # independent random streams of one seed


class SegmentKey(NamedTuple):
    """Names one training segment: clip number, and the draw that decides where it is cropped."""

    clip: int
    draw: int


def _philox(seed: int, stream: int, a: int, b: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, a, b]))


class SegmentDataset(Dataset[Tensor]):
    """Segments [T] of clips that are peak-normalised to 0.95, as base training needs them.

    A clip shorter than a segment is followed by silence.

    Args:
        paths: audio files, checked with `check_wavs` before.
        sampling_rate: that every file must have, in Hz.
        segment_size: samples in a segment.
        seed: of the crops.
    """

    def __init__(self, paths: Sequence[Path], sampling_rate: int, segment_size: int, seed: int) -> None:
        self.paths = list(paths)
        self.sampling_rate = sampling_rate
        self.segment_size = segment_size
        self.seed = seed

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: SegmentKey) -> Tensor:
        wav = normalise_peak(load_wav_at(self.paths[key.clip], self.sampling_rate))
        spare = len(wav) - self.segment_size
        if spare < 0:
            wav = np.pad(wav, (0, -spare))
        elif spare > 0:
            start = int(_philox(self.seed, _CROP, key.clip, key.draw).integers(spare + 1))
            wav = wav[start : start + self.segment_size]
        return torch.from_numpy(wav.astype(np.float32))


class MicroBatchSampler(Sampler[list[SegmentKey]]):
    """The micro-batches of one process for the rest of an epoch, in order.

    An optimiser step takes the next batch_size * grad_accumulation * world_size clips of the epoch's permutation;
    micro-batch a of process r is the (a * world_size + r)-th part of them. What remains at the end is left out.
    """

    def __init__(
        self, num_clips: int, batch_size: int, grad_accumulation: int, rank: int, world_size: int, seed: int
    ) -> None:
        self.num_clips = num_clips
        self.batch_size = batch_size
        self.grad_accumulation = grad_accumulation
        self.rank = rank
        self.world_size = world_size
        self.seed = seed
        self.epoch = 1
        self.first_step = 0
        if not self.steps_per_epoch:
            raise InputError(
                f"--batch-size: one optimiser step takes {self.clips_per_step} clips "
                f"(batch x accumulation x processes), but the training lists have {num_clips}"
            )

    @property
    def clips_per_step(self) -> int:
        return self.batch_size * self.grad_accumulation * self.world_size

    @property
    def steps_per_epoch(self) -> int:
        return self.num_clips // self.clips_per_step

    def __len__(self) -> int:
        return (self.steps_per_epoch - self.first_step) * self.grad_accumulation

    def __iter__(self) -> Iterator[list[SegmentKey]]:
        order = _philox(self.seed, _ORDER, self.epoch, 0).permutation(self.num_clips).tolist()
        for step in range(self.first_step, self.steps_per_epoch):
            for micro_batch in range(self.grad_accumulation):
                part = micro_batch * self.world_size + self.rank
                start = step * self.clips_per_step + part * self.batch_size
                yield [SegmentKey(clip, self.epoch) for clip in order[start : start + self.batch_size]]


def training_loader(
    dataset: SegmentDataset, sampler: MicroBatchSampler, num_workers: int, cuda: bool
) -> DataLoader[Tensor]:
    """Batches [B, T]; set `sampler.epoch` and `sampler.first_step` before each pass."""
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=num_workers,
        pin_memory=cuda,
        persistent_workers=num_workers > 0,
        worker_init_fn=_leave_signals_to_the_parent if num_workers else None,
    )


def validation_loader(
    paths: Sequence[Path], sampling_rate: int, segment_size: int, batch_size: int, rank: int, world_size: int
) -> DataLoader[Tensor]:
    """Five fixed segments of every validation clip, shared out over the processes without repetition."""
    dataset = SegmentDataset(paths, sampling_rate, segment_size, _VALIDATION_SEED)
    keys = [SegmentKey(clip, draw) for clip in range(len(dataset)) for draw in range(VALIDATION_SEGMENTS)][
        rank::world_size
    ]
    batches = [keys[i : i + batch_size] for i in range(0, len(keys), batch_size)]
    return DataLoader(dataset, batch_sampler=batches)


def _leave_signals_to_the_parent(_: int) -> None:
    # Ctrl-C and torchrun's SIGTERM reach these processes too; the trainer must be able to finish its step and save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
