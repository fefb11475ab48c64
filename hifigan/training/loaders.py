"""Opening the data of a training run of the vocoder."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from common import distributed
from common.data.filelists import check_wavs, read_paths
from common.data.mel_files import check_mel_config, find_mels
from common.distributed import Distributed
from common.errors import InputError
from common.files.fingerprints import fingerprint
from common.machine.hardware import free_bytes
from common.progress import watched
from common.training.loader_processes import leave_signals_to_the_parent
from common.training.sampling import ClipKey, MicroBatchSampler
from hifigan.training.config import TrainConfig
from hifigan.training.segment_cache import CachedSegments, needed_bytes
from hifigan.training.segments import PairDataset, Segment, SegmentDataset

VALIDATION_SEGMENTS = 5  # deterministic segments per validation clip, the published protocol
AUTO_SHARE = 0.25  # of a GPU's memory, or of the free RAM, which the clips may take without being asked for
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
    chosen = framing != "auto"
    if not chosen:
        if len(described) > 1:
            raise InputError(f"--input-mels-dir: {folder} mixes framings; choose one with --input-mels-framing")
        framing = described.pop() if described else "tacotron"
    audio = dataclasses.replace(cfg.audio, framing=framing)
    return PairDataset(paths, mels, audio, data.segment_size, seed, any_phase=chosen)


def learned_framing(dataset: SegmentDataset, cfg: TrainConfig) -> str:
    """The framing of the mels that a generator trained on this data takes, as far as the mels' descriptions tell."""
    if not isinstance(dataset, PairDataset):
        return cfg.audio.framing
    described = check_mel_config(dataset.mels, Path(cfg.data.input_mels_dir), cfg.audio)
    learned = {dataset.learned_framing(made_as) for made_as in described or {"tacotron"}}  # as FastPitch makes them
    return learned.pop() if len(learned) == 1 else cfg.audio.framing


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

    def check() -> None:
        paths = [path for dataset in datasets for path in dataset.paths]
        check_wavs(paths, datasets[0].audio.sampling_rate, progress=watched(), decode=True)
        for dataset in datasets:
            if isinstance(dataset, PairDataset):
                dataset.check(progress=watched())

    distributed.first_on_main(check, place)


def training_loader(
    dataset: SegmentDataset, sampler: MicroBatchSampler, cfg: TrainConfig, place: Distributed
) -> DataLoader[Segment]:
    """Segments in micro-batches; set `sampler.epoch` and `sampler.first_step` before each pass."""
    cache = cache_for(dataset, cfg, place)
    num_workers = cfg.data.num_workers if cache == "none" else 0  # nothing is left to do for them
    return DataLoader(
        _cached(dataset, cache, place),
        batch_sampler=sampler,
        collate_fn=None if cache == "none" else _as_it_is,
        num_workers=num_workers,
        pin_memory=cfg.run.cuda and cache != "device",
        persistent_workers=num_workers > 0,
        worker_init_fn=leave_signals_to_the_parent if num_workers else None,
    )


def validation_loader(dataset: SegmentDataset, cfg: TrainConfig, place: Distributed) -> DataLoader[Segment]:
    """Five fixed segments of every validation clip, shared out over the processes without repetition."""
    keys = [ClipKey(clip, draw) for clip in range(len(dataset)) for draw in range(VALIDATION_SEGMENTS)]
    mine = keys[place.rank :: place.world_size]
    size = cfg.optim.batch_size
    batches = [mine[i : i + size] for i in range(0, len(mine), size)]
    cache = cache_for(dataset, cfg, place)
    collate = None if cache == "none" else _as_it_is
    return DataLoader(_cached(dataset, cache, place), batch_sampler=batches, collate_fn=collate)


def cache_for(dataset: SegmentDataset, cfg: TrainConfig, place: Distributed) -> str:
    """Where the clips are kept: "none", "ram" or "device"."""
    if cfg.data.dataset_cache != "auto":
        return cfg.data.dataset_cache
    if cfg.run.fast == "off" or place.device.type != "cuda":
        return "none"
    needed = needed_bytes(dataset)
    free, total = torch.cuda.mem_get_info(place.device)
    if needed <= min(AUTO_SHARE * total, free / 2):
        return "device"
    in_ram = free_bytes(torch.device("cpu"))
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # of this machine, by torchrun
    return "ram" if in_ram is not None and processes * needed <= AUTO_SHARE * in_ram else "none"


def _cached(dataset: SegmentDataset, cache: str, place: Distributed) -> Dataset[Segment]:
    """The data set itself, or its clips in memory."""
    if cache == "none":
        return dataset
    device = place.device if cache == "device" else torch.device("cpu")
    return CachedSegments(dataset, device, progress=watched() and place.is_main)


def _as_it_is(batch: Any) -> Any:
    return batch
