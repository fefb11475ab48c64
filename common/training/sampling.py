"""Order of the clips and random draws, shared by the data loaders of all models.

Random numbers come from a counter-based generator (Philox), not from a stream that workers or processes consume. So the
clips of an optimiser step depend on the seed and the step alone, however processes divide the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from common.errors import InputError

ORDER, CROP, DROPOUT = 0, 1, 2  # independent random streams of one seed


class ClipKey(NamedTuple):
    """Key of one training example: clip number, and the draw that determines its random choices."""

    clip: int
    draw: int


def philox(seed: int, stream: int, a: int, b: int) -> np.random.Generator:
    """Return random numbers for a place (a, b) of a stream."""
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, a, b]))


class MicroBatchSampler(Sampler[list[ClipKey]]):
    """Sampler of one process's micro-batches for the rest of an epoch.

    An optimiser step takes the next batch_size * grad_accumulation * world_size clips of the epoch's permutation.
    Micro-batch a of process r is the (a * world_size + r)-th part of them. Clips that do not fill a step are skipped.
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

    def __iter__(self) -> Iterator[list[ClipKey]]:
        order = philox(self.seed, ORDER, self.epoch, 0).permutation(self.num_clips).tolist()
        for step in range(self.first_step, self.steps_per_epoch):
            for micro_batch in range(self.grad_accumulation):
                part = micro_batch * self.world_size + self.rank
                start = step * self.clips_per_step + part * self.batch_size
                yield [ClipKey(clip, self.epoch) for clip in order[start : start + self.batch_size]]
