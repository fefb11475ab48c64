"""Data sets and loaders of a vocoder's training run."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from common.data.filelists import read_paths
from common.data.mel_files import check_mel_config, find_mels
from common.distributed import Distributed
from common.errors import InputError
from common.files.fingerprints import fingerprint
from common.machine.hardware import free_bytes
from common.machine.progress import watched
from common.training.loaders import training_batches, validation_batches
from common.training.sampling import ClipKey, MicroBatchSampler
from hifigan.training.flags import VocoderTrainConfig
from hifigan.training.segment_cache import CachedSegments, needed_bytes
from hifigan.training.segments import PairDataset, Segment, SegmentDataset

VALIDATION_SEGMENTS = 5  # fixed segments per validation clip, the published protocol
AUTO_CACHE_SHARE = 0.25  # of a GPU's memory or of the free RAM, at most, that --dataset-cache auto takes
VALIDATION_SEED = 0  # not the run's seed, so that validation losses of different runs are comparable


def open_datasets(cfg: VocoderTrainConfig) -> tuple[SegmentDataset, SegmentDataset]:
    """Open the training and the validation data, without reading audio.

    Raises:
        FileNotFoundError, InputError: file lists or mels that are missing or do not fit.
    """
    return (
        _open(cfg, cfg.data.training_files, cfg.run.seed),
        _open(cfg, cfg.data.validation_files, VALIDATION_SEED),
    )


def _open(cfg: VocoderTrainConfig, filelists: Sequence[str], seed: int) -> SegmentDataset:
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


def learned_framing(dataset: SegmentDataset, cfg: VocoderTrainConfig) -> str:
    """Return the framing that a generator trained on this data learns, according to the mels' descriptions."""
    if not isinstance(dataset, PairDataset):
        return cfg.audio.framing
    described = check_mel_config(dataset.mels, Path(cfg.data.input_mels_dir), cfg.audio)
    learned = {dataset.learned_framing(framing) for framing in described or {"tacotron"}}  # FastPitch's framing
    return learned.pop() if len(learned) == 1 else cfg.audio.framing


def data_fingerprint(dataset: SegmentDataset, cfg: VocoderTrainConfig) -> str:
    """Return text that differs between different data."""
    clips = fingerprint(dataset.paths, cfg.data.dataset_path)
    if not isinstance(dataset, PairDataset):
        return clips
    return f"{clips}, {dataset.audio.framing} mels {fingerprint(dataset.mels, cfg.data.input_mels_dir)}"


def training_loader(
    dataset: SegmentDataset, sampler: MicroBatchSampler, cfg: VocoderTrainConfig, place: Distributed
) -> DataLoader[Segment]:
    """Load segments in micro-batches. Set `sampler.epoch` and `sampler.first_step` before each pass."""
    cache = choose_cache(dataset, cfg, place)
    return training_batches(
        _cache(dataset, cache, place),
        sampler,
        collate=None if cache == "none" else _pass_through,
        num_workers=cfg.data.num_workers if cache == "none" else 0,  # with a cache they have nothing to do
        pin_memory=cfg.run.cuda and cache != "device",
    )


def validation_loader(dataset: SegmentDataset, cfg: VocoderTrainConfig, place: Distributed) -> DataLoader[Segment]:
    """Load five fixed segments of every validation clip, divided among the processes without repetition."""
    cache = choose_cache(dataset, cfg, place)
    return validation_batches(
        _cache(dataset, cache, place),
        [ClipKey(clip, draw) for clip in range(len(dataset)) for draw in range(VALIDATION_SEGMENTS)],
        collate=None if cache == "none" else _pass_through,
        batch_size=cfg.optim.batch_size,
        place=place,
    )


def choose_cache(dataset: SegmentDataset, cfg: VocoderTrainConfig, place: Distributed) -> str:
    """Return where the clips are cached: "none", "ram" or "device"."""
    if cfg.data.dataset_cache != "auto":
        return cfg.data.dataset_cache
    if cfg.run.fast == "off" or place.device.type != "cuda":
        return "none"
    needed = needed_bytes(dataset)
    free, total = torch.cuda.mem_get_info(place.device)
    if needed <= min(AUTO_CACHE_SHARE * total, free / 2):
        return "device"
    in_ram = free_bytes(torch.device("cpu"))
    processes = int(os.environ.get("LOCAL_WORLD_SIZE") or "1")  # on this machine, set by torchrun
    return "ram" if in_ram is not None and processes * needed <= AUTO_CACHE_SHARE * in_ram else "none"


def _cache(dataset: SegmentDataset, cache: str, place: Distributed) -> Dataset[Segment]:
    """Return the data set itself, or its clips in memory."""
    if cache == "none":
        return dataset
    device = place.device if cache == "device" else torch.device("cpu")
    return CachedSegments(dataset, device, progress=watched() and place.is_main)


def _pass_through(batch: Any) -> Any:
    """Collate batches that `CachedSegments` has already assembled."""
    return batch
