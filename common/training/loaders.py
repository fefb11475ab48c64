"""Data sets of a training run, their loaders, and how a run iterates over batches. Shared by all models."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from torch.utils.data import DataLoader, Dataset

from common import distributed
from common.audio_config import AudioConfig
from common.data.filelists import check_wavs
from common.distributed import Distributed
from common.machine.loader_processes import leave_signals_to_the_parent
from common.machine.progress import watched
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
    on_gpu = place.device.type == "cuda"  # which copies pinned memory while the CPU goes on
    return DataLoader(dataset, batch_sampler=batches, collate_fn=collate, pin_memory=on_gpu)


class UntilError:
    """Iterate over batches until reading one fails, so that the state can be saved.

    Attributes:
        error: what the last pass raised, or None.
    """

    def __init__(self, batches: Iterable[Any]) -> None:
        self.error: Exception | None = None
        self._batches = batches

    def __iter__(self) -> Iterator[Any]:
        self.error = None
        batches = iter(self._batches)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except Exception as error:  # whatever a file raises
                self.error = error
                return
            yield batch


class ReadAhead:
    """Iterate over groups of micro-batches, with two of them in memory: an error of reading is known in time.

    A process that cannot read its data has to tell the others while it can still make steps with them, because they
    would wait for its gradients forever. `Poll` tells them with the next step. So the second group after the current
    one is read before the current step ends.

    Attributes:
        error: what a later group raised, or None. The groups before it are still usable.
    """

    AHEAD = 2

    def __init__(self, groups: Iterator[list[Any]]) -> None:
        self.error: Exception | None = None
        self._groups = groups
        self._waiting: collections.deque[list[Any]] = collections.deque()
        self._read()

    def __iter__(self) -> Iterator[list[Any]]:
        while self._waiting:
            group = self._waiting.popleft()
            self._read()
            yield group

    def _read(self) -> None:
        try:
            while self.error is None and len(self._waiting) < self.AHEAD:
                self._waiting.append(next(self._groups))
        except StopIteration:
            pass
        except Exception as error:  # whatever a file raises: the state is saved first
            self.error = error


def groups(loader: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield the micro-batches of each optimiser step."""
    batches = iter(loader)
    while group := list(islice(batches, size)):
        yield group
