"""Opening the data of a training run of FastPitch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch.utils.data import DataLoader, Dataset

from common import distributed
from common.data.filelists import check_wavs
from common.data.pitch import PITCH_STATISTICS_FILE, read_statistics
from common.distributed import Distributed
from common.files.fingerprints import fingerprint
from common.progress import watched
from common.training.loader_processes import leave_signals_to_the_parent
from common.training.sampling import ClipKey, MicroBatchSampler
from fastpitch.training.config import TrainConfig
from fastpitch.training.recordings import CachedSpeech, Example, SpeechDataset, collate, read_recordings


def voice_pitch(cfg: TrainConfig) -> tuple[float, float]:
    """Mean and standard deviation of the voice's pitch in Hz, from the flags or the data set.

    Raises:
        FileNotFoundError, InputError: the data set has no statistics.
    """
    if cfg.data.pitch_mean is not None and cfg.data.pitch_std is not None:
        return cfg.data.pitch_mean, cfg.data.pitch_std
    found = read_statistics(Path(cfg.data.dataset_path) / "pitch" / PITCH_STATISTICS_FILE)
    return found.mean_hz, found.std_hz


def open_datasets(cfg: TrainConfig, pitch_hz: tuple[float, float]) -> tuple[SpeechDataset, SpeechDataset]:
    """The training and the validation data.

    Raises:
        FileNotFoundError, InputError: file lists that are missing or do not fit; audio is not looked at.
    """
    return _open(cfg, cfg.data.training_files, pitch_hz), _open(cfg, cfg.data.validation_files, pitch_hz)


def _open(cfg: TrainConfig, filelists: Sequence[str], pitch_hz: tuple[float, float]) -> SpeechDataset:
    data = cfg.data
    recordings = read_recordings(filelists, Path(data.dataset_path), cfg.model.n_speakers)
    text = cfg.text.processor(data.cmudict_path, data.heteronyms_path)
    return SpeechDataset(recordings, cfg.audio, text, *pitch_hz, cfg.run.seed)


def fingerprint_of(dataset: SpeechDataset, root: Path) -> str:
    """Tells the data of a run from other data."""
    said = "\n".join(f"{recording.text}|{recording.speaker}" for recording in dataset.recordings)
    return f"{fingerprint(dataset.paths, root)}, texts {hashlib.sha256(said.encode()).hexdigest()[:12]}"


def check_datasets(datasets: Sequence[SpeechDataset], place: Distributed) -> None:
    """Checks all data on the main process, before any is used; if some cannot be, the others end quietly.

    Raises:
        InputError: what cannot be used.
    """

    def check() -> None:
        paths = [path for dataset in datasets for path in dataset.paths]
        check_wavs(paths, datasets[0].audio.sampling_rate, progress=watched(), decode=True)
        for dataset in datasets:
            dataset.check(progress=watched())

    distributed.first_on_main(check, place)


def training_loader(
    dataset: SpeechDataset, sampler: MicroBatchSampler, cfg: TrainConfig, place: Distributed
) -> DataLoader[Example]:
    """Micro-batches; set `sampler.epoch` and `sampler.first_step` before each pass."""
    cached = _cached(dataset, cfg, place)
    return DataLoader(
        cached,
        batch_sampler=sampler,
        num_workers=cfg.data.num_workers,
        collate_fn=partial(collate, padding_id=dataset.padding_id),
        pin_memory=cfg.run.cuda,
        persistent_workers=cfg.data.num_workers > 0,
        worker_init_fn=leave_signals_to_the_parent if cfg.data.num_workers else None,
    )


def validation_loader(dataset: SpeechDataset, cfg: TrainConfig, place: Distributed) -> DataLoader[Example]:
    """All validation clips, shared out over the processes without repetition."""
    mine = [ClipKey(clip, 0) for clip in range(len(dataset))][place.rank :: place.world_size]
    size = cfg.optim.batch_size
    batches = [mine[i : i + size] for i in range(0, len(mine), size)]
    return DataLoader(
        _cached(dataset, cfg, place), batch_sampler=batches, collate_fn=partial(collate, padding_id=dataset.padding_id)
    )


def _cached(dataset: SpeechDataset, cfg: TrainConfig, place: Distributed) -> Dataset[Example]:
    if cfg.data.dataset_cache == "none":
        return dataset
    return CachedSpeech(dataset, progress=watched() and place.is_main)
