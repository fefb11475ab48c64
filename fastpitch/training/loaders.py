"""Data sets and loaders of a FastPitch training run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch.utils.data import DataLoader, Dataset

from common.data.pitch import PITCH_STATISTICS_FILE, read_statistics
from common.distributed import Distributed
from common.files.fingerprints import fingerprint
from common.machine.progress import watched
from common.training.loaders import training_batches, validation_batches
from common.training.sampling import ClipKey, MicroBatchSampler
from fastpitch.training.flags import FastPitchTrainConfig
from fastpitch.training.recordings import CachedSpeech, Example, SpeechDataset, collate, read_recordings


def voice_pitch(cfg: FastPitchTrainConfig) -> tuple[float, float]:
    """Return mean and standard deviation of the voice's pitch in Hz, from the flags or the data set.

    Raises:
        FileNotFoundError, InputError: the data set has no statistics.
    """
    if cfg.data.pitch_mean is not None and cfg.data.pitch_std is not None:
        return cfg.data.pitch_mean, cfg.data.pitch_std
    found = read_statistics(Path(cfg.data.dataset_path) / "pitch" / PITCH_STATISTICS_FILE)
    return found.mean_hz, found.std_hz


def open_datasets(cfg: FastPitchTrainConfig) -> tuple[SpeechDataset, SpeechDataset]:
    """Open the training and the validation data, without reading audio.

    Raises:
        FileNotFoundError, InputError: file lists or pitch statistics that are missing or do not fit.
    """
    pitch_hz = voice_pitch(cfg)
    return _open(cfg, cfg.data.training_files, pitch_hz), _open(cfg, cfg.data.validation_files, pitch_hz)


def _open(cfg: FastPitchTrainConfig, filelists: Sequence[str], pitch_hz: tuple[float, float]) -> SpeechDataset:
    data = cfg.data
    recordings = read_recordings(filelists, Path(data.dataset_path), cfg.model.n_speakers, cfg.speakers)
    text = cfg.text.processor(data.cmudict_path, data.heteronyms_path, pronunciations=data.pronunciations)
    return SpeechDataset(recordings, cfg.audio, text, *pitch_hz, cfg.run.seed)


def data_fingerprint(dataset: SpeechDataset, root: Path) -> str:
    """Return text that differs between different data."""
    texts = "\n".join(f"{recording.text}|{recording.speaker}" for recording in dataset.recordings)
    return f"{fingerprint(dataset.paths, root)}, texts {hashlib.sha256(texts.encode()).hexdigest()[:12]}"


def training_loader(
    dataset: SpeechDataset, sampler: MicroBatchSampler, cfg: FastPitchTrainConfig, place: Distributed
) -> DataLoader[Example]:
    """Load micro-batches. Set `sampler.epoch` and `sampler.first_step` before each pass."""
    return training_batches(
        _cache(dataset, cfg, place),
        sampler,
        collate=partial(collate, padding_id=dataset.padding_id),
        num_workers=cfg.data.num_workers,
        pin_memory=cfg.run.cuda,
    )


def validation_loader(dataset: SpeechDataset, cfg: FastPitchTrainConfig, place: Distributed) -> DataLoader[Example]:
    """Load all validation clips, divided among the processes without repetition."""
    return validation_batches(
        _cache(dataset, cfg, place),
        [ClipKey(clip, 0) for clip in range(len(dataset))],
        collate=partial(collate, padding_id=dataset.padding_id),
        batch_size=cfg.optim.batch_size,
        place=place,
    )


def _cache(dataset: SpeechDataset, cfg: FastPitchTrainConfig, place: Distributed) -> Dataset[Example]:
    if cfg.data.dataset_cache == "none":
        return dataset
    return CachedSpeech(dataset, progress=watched() and place.is_main)
