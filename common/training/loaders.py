"""Data sets of a training run and their loaders, shared by all models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch.utils.data import DataLoader, Dataset

from common import distributed
from common.audio_config import AudioConfig
from common.data.filelists import check_wavs
from common.distributed import Distributed
from common.machine.progress import watched
from common.training.loader_processes import leave_signals_to_the_parent
from common.training.sampling import ClipKey, MicroBatchSampler


class ClipDataset(Protocol):
    """A data set of clips that training can check before it starts."""

    @property
    def paths(self) -> list[Path]:
        """Audio files, one for each clip."""

    @property
    def audio(self) -> AudioConfig:
        """The signal contract of all clips."""

    def __len__(self) -> int: ...

    def check(self, progress: bool = False) -> None:
        """Check all data besides the audio. Raise `InputError` for what cannot be used."""


def check_datasets(datasets: Sequence[ClipDataset], place: Distributed) -> None:
    """Check all data on the main process before training starts. If some is unusable, the others end quietly.

    Raises:
        InputError: the number of unusable files, and the first three.
    """

    def check() -> None:
        paths = [path for dataset in datasets for path in dataset.paths]
        check_wavs(paths, datasets[0].audio.sampling_rate, progress=watched(), decode=True)
        for dataset in datasets:
            dataset.check(progress=watched())

    distributed.first_on_main(check, place)


def training_batches(
    dataset: Dataset[Any],
    sampler: MicroBatchSampler,
    collate: Callable[[Any], Any] | None,
    num_workers: int,
    pin_memory: bool,
) -> DataLoader[Any]:
    """Load micro-batches. Set `sampler.epoch` and `sampler.first_step` before each pass."""
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=num_workers,
        pin_memory=pin_memory,
        persistent_workers=num_workers > 0,
        worker_init_fn=leave_signals_to_the_parent if num_workers else None,
    )


def validation_batches(
    dataset: Dataset[Any],
    keys: Iterable[ClipKey],
    collate: Callable[[Any], Any] | None,
    batch_size: int,
    place: Distributed,
) -> DataLoader[Any]:
    """Load all `keys`, divided among the processes without repetition."""
    own = list(keys)[place.rank :: place.world_size]
    batches = [own[i : i + batch_size] for i in range(0, len(own), batch_size)]
    return DataLoader(dataset, batch_sampler=batches, collate_fn=collate)
