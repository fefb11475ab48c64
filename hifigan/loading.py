"""Opening the data of a training run, and the order in which its segments come.

Which clips and crops an optimiser step uses depends on the seed and the step alone, whatever shares the work.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from common import distributed
from common.distributed import Distributed
from common.errors import InputError
from common.filelists import check_wavs, fingerprint, read_paths
from common.mels import check_mel_config, find_mels
from common.run_log import watched
from hifigan.dataset import ORDER, CachedSegments, PairDataset, Segment, SegmentDataset, SegmentKey, philox
from hifigan.train_config import TrainConfig

VALIDATION_SEGMENTS = 5  # deterministic segments per validation clip, the published protocol
VALIDATION_SEED = 0  # not the run's: validation losses of different runs are comparable


def open_datasets(cfg: TrainConfig) -> tuple[SegmentDataset, SegmentDataset]:
    """The training and the validation data.

    Raises:
        FileNotFoundError, InputError: file lists or mels that are missing or do not fit; audio is not looked at.
    """
    return (
        _open(cfg, cfg.data.training_files, cfg.run.seed),
        _open(cfg, cfg.data.validation_files, VALIDATION_SEED),
    )


def _open(cfg: TrainConfig, filelists: Sequence[str], seed: int) -> SegmentDataset:
    data = cfg.data
    paths = read_paths(filelists, data.dataset_path)
    if not data.input_mels_dir:
        return SegmentDataset(paths, cfg.audio, data.segment_size, seed)
    folder = Path(data.input_mels_dir)
    mels = find_mels(paths, Path(data.dataset_path), folder)
    described = check_mel_config(mels, folder, cfg.audio)
    framing = data.input_mels_framing
    if framing == "auto":
        if len(described) > 1:
            raise InputError(f"--input-mels-dir: {folder} mixes framings; choose one with --input-mels-framing")
        framing = described.pop() if described else "tacotron"
    return PairDataset(paths, mels, dataclasses.replace(cfg.audio, framing=framing), data.segment_size, seed)


def fingerprint_of(dataset: SegmentDataset, cfg: TrainConfig) -> str:
    """Tells the data of a run from other data."""
    clips = fingerprint(dataset.paths, cfg.data.dataset_path)
    if not isinstance(dataset, PairDataset):
        return clips
    return f"{clips}, {dataset.audio.framing} mels {fingerprint(dataset.mels, cfg.data.input_mels_dir)}"


def check_datasets(datasets: Sequence[SegmentDataset], place: Distributed) -> None:
    """Checks all data on the main process, before any is used; if some cannot be, the others end quietly.

    Raises:
        InputError: what cannot be used.
    """
    problem: InputError | None = None
    if place.is_main:
        paths = [path for dataset in datasets for path in dataset.paths]
        try:
            check_wavs(paths, datasets[0].audio.sampling_rate, progress=watched(), decode=True)
            for dataset in datasets:
                if isinstance(dataset, PairDataset):
                    dataset.check(progress=watched())
        except InputError as error:
            problem = error
    if distributed.any_rank(problem is not None):
        raise problem or SystemExit(1)


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
        order = philox(self.seed, ORDER, self.epoch, 0).permutation(self.num_clips).tolist()
        for step in range(self.first_step, self.steps_per_epoch):
            for micro_batch in range(self.grad_accumulation):
                part = micro_batch * self.world_size + self.rank
                start = step * self.clips_per_step + part * self.batch_size
                yield [SegmentKey(clip, self.epoch) for clip in order[start : start + self.batch_size]]


def training_loader(
    dataset: SegmentDataset, sampler: MicroBatchSampler, cfg: TrainConfig, place: Distributed
) -> DataLoader[Segment]:
    """Segments in micro-batches; set `sampler.epoch` and `sampler.first_step` before each pass."""
    cached = _cached(dataset, cfg, place)
    num_workers = cfg.data.num_workers if cached is dataset else 0  # nothing is left to do for them
    return DataLoader(
        cached,
        batch_sampler=sampler,
        num_workers=num_workers,
        pin_memory=cfg.run.cuda and cfg.data.dataset_cache != "device",
        persistent_workers=num_workers > 0,
        worker_init_fn=_leave_signals_to_the_parent if num_workers else None,
    )


def validation_loader(dataset: SegmentDataset, cfg: TrainConfig, place: Distributed) -> DataLoader[Segment]:
    """Five fixed segments of every validation clip, shared out over the processes without repetition."""
    keys = [SegmentKey(clip, draw) for clip in range(len(dataset)) for draw in range(VALIDATION_SEGMENTS)]
    mine = keys[place.rank :: place.world_size]
    size = cfg.optim.batch_size
    batches = [mine[i : i + size] for i in range(0, len(mine), size)]
    return DataLoader(_cached(dataset, cfg, place), batch_sampler=batches)


def _cached(dataset: SegmentDataset, cfg: TrainConfig, place: Distributed) -> Dataset[Segment]:
    """The data set itself, or its clips in memory, as --dataset-cache says."""
    if cfg.data.dataset_cache == "none":
        return dataset
    device = place.device if cfg.data.dataset_cache == "device" else torch.device("cpu")
    return CachedSegments(dataset, device, progress=watched() and place.is_main)


def stop_loader_processes() -> None:
    """Ends the processes of this module's loaders, which do not listen to SIGTERM; else the program waits for them."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler would raise an error for each of them
    for process in multiprocessing.active_children():
        process.kill()


@contextlib.contextmanager
def lost_loaders_named() -> Iterator[None]:
    """Tells in one line that a process which loads audio was killed.

    Raises:
        OSError: instead of PyTorch's RuntimeError.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise OSError(
            "a process that loads audio was killed, perhaps for lack of memory: give fewer --num-workers"
        ) from error


def _leave_signals_to_the_parent(_: int) -> None:
    # Ctrl-C and torchrun's SIGTERM reach these processes too; the trainer must be able to finish its step and save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
