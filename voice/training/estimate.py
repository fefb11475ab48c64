"""Estimate time and disk of a voice's training from a few steps of both trainings on this machine."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from common.audio_files import wav_info
from common.data.filelists import read_filelist, write_lines
from common.errors import InputError
from common.files.atomic import write_whole
from common.files.dllogger_lines import read_json_lines, read_records
from common.files.json_files import read_json
from common.machine.timing import in_words
from common.training.flags import KEPT_CHECKPOINTS
from voice.training.children import ChildProcesses
from voice.training.commands import (
    FASTPITCH_VALIDATION_EPOCHS,
    PARTS,
    VOCODER_VALIDATION_EPOCHS,
    VoicePaths,
    fastpitch_command,
    override,
    pitch_command,
    vocoder_command,
)
from voice.training.flags import VoiceTrainingConfig

TRIAL_STEPS = 6  # of each training
FIRST_STEPS = 2  # of them, which are slower and not counted
BYTES_PER_SAMPLE = 2  # of wav files
BYTES_PER_MEL_SAMPLE = 80 * 4 / 256  # of a mel file, per sample of its audio
LOG_BYTES = 20e6  # logs, lists and the finished voice


@dataclasses.dataclass(frozen=True)
class Measured:
    """Measured cost of one training.

    Attributes:
        step_sec: seconds of an optimiser step.
        validation_sec: seconds of a validation.
        checkpoint_bytes: size of a checkpoint's files.
    """

    step_sec: float
    validation_sec: float
    checkpoint_bytes: int


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Time and disk of a voice's training.

    Attributes:
        clips: number of clips in each part.
        hours: hours of audio in each part.
        pitch_sec: seconds to extract the pitch of all clips.
        vocoder: cost of a step of the vocoder.
        fastpitch: cost of a step of FastPitch.
        parallel: the trainings were measured at the same time, and will run so.
    """

    clips: Mapping[str, int]
    hours: Mapping[str, float]
    pitch_sec: float
    vocoder: Measured
    fastpitch: Measured
    parallel: bool

    def steps_per_epoch(self, cfg: VoiceTrainingConfig) -> tuple[int, int]:
        """Return the steps in an epoch of the vocoder and of FastPitch."""
        return (
            self.clips["train"] // (cfg.batch_size * cfg.processes),
            self.clips["train"] // (cfg.fastpitch_batch_size * cfg.processes),
        )

    def training_sec(self, cfg: VoiceTrainingConfig) -> tuple[float, float, float]:
        """Return the seconds of the vocoder, FastPitch and fine-tuning, whose epochs have every clip twice."""
        vocoder_steps, fastpitch_steps = self.steps_per_epoch(cfg)
        vocoder, fastpitch = self.vocoder, self.fastpitch
        vocoder_epoch = vocoder_steps * vocoder.step_sec + vocoder.validation_sec / VOCODER_VALIDATION_EPOCHS
        return (
            cfg.vocoder_epochs * vocoder_epoch,
            cfg.fastpitch_epochs
            * (fastpitch_steps * fastpitch.step_sec + fastpitch.validation_sec / FASTPITCH_VALIDATION_EPOCHS),
            cfg.fine_tuning_epochs * 2 * vocoder_epoch,
        )

    def total_sec(self, cfg: VoiceTrainingConfig) -> float:
        """Return the seconds of everything before the evaluation."""
        *seconds, fine_tuning = self.training_sec(cfg)
        return self.pitch_sec + (max(seconds) if self.parallel else sum(seconds)) + fine_tuning

    def disk_bytes(self, cfg: VoiceTrainingConfig, sampling_rate: int = 22050) -> float:
        """Return the bytes that the working folder and the voice take at most, without converted recordings."""
        # One more checkpoint exists while the oldest is being replaced.
        vocoders = 2 if cfg.fine_tuning_epochs else 1
        kept = (KEPT_CHECKPOINTS + 1) * (vocoders * self.vocoder.checkpoint_bytes + self.fastpitch.checkpoint_bytes)
        systems = 5 + len(cfg.compare)  # recordings, voice and base, then recordings and voice for the texts
        wavs = self.hours["test"] * 3600 * sampling_rate * BYTES_PER_SAMPLE * systems
        pitch = sum(self.hours.values()) * 3600 * sampling_rate / 256 * 4
        pair = 3600 * sampling_rate * (BYTES_PER_SAMPLE + BYTES_PER_MEL_SAMPLE)  # in an hour of audio
        predicted = self.hours["train"] * 3600 * sampling_rate * BYTES_PER_MEL_SAMPLE
        pairs = (2 * self.hours["train"] + self.hours["val"]) * pair + predicted
        return kept + wavs + pitch + (pairs if cfg.fine_tuning_epochs else 0) + LOG_BYTES

    def lines(self, cfg: VoiceTrainingConfig, paths: VoicePaths) -> list[str]:
        """Return the estimate in words, a line for each part."""
        vocoder_sec, fastpitch_sec, fine_tuning_sec = self.training_sec(cfg)
        vocoder_steps, fastpitch_steps = self.steps_per_epoch(cfg)
        free = shutil.disk_usage(paths.work).free
        parts = ", ".join(f"{name} {self.clips[name]}" for name in PARTS)
        tuning = (
            f"tuning     {in_words(fine_tuning_sec)}: {cfg.fine_tuning_epochs} more epochs of the vocoder, of "
            f"{2 * vocoder_steps} steps, on recordings and on FastPitch's mels"
        )
        together = "vocoder and FastPitch at the same time" if self.parallel else "one after the other"
        return [
            f"data set   {sum(self.clips.values())} clips, {sum(self.hours.values()):.2f} hours ({parts})",
            f"pitch      {in_words(self.pitch_sec)}",
            f"vocoder    {in_words(vocoder_sec)}: {cfg.vocoder_epochs} epochs of {vocoder_steps} steps of "
            f"{self.vocoder.step_sec:.2f} s, measured here",
            f"FastPitch  {in_words(fastpitch_sec)}: {cfg.fastpitch_epochs} epochs of {fastpitch_steps} steps of "
            f"{self.fastpitch.step_sec:.2f} s, measured here",
            *([tuning] if cfg.fine_tuning_epochs else []),
            f"together   {in_words(self.total_sec(cfg))}, {together}; then the evaluation",
            f"disk       {self.disk_bytes(cfg) / 1e9:.2f} GB in {paths.work} ({free / 1e9:.1f} GB are free)",
        ]

    def save(self, path: Path) -> None:
        write_whole(path, (json.dumps(dataclasses.asdict(self), indent=1) + "\n").encode())

    @staticmethod
    def load(path: Path) -> Estimate:
        values = read_json(path)
        return Estimate(**{**values, **{name: Measured(**values[name]) for name in ("vocoder", "fastpitch")}})


def measure(paths: VoicePaths, cfg: VoiceTrainingConfig, children: ChildProcesses) -> Estimate:
    """Train both models for a few steps in a folder that is removed afterwards.

    Raises:
        InputError: too few clips for a step, or a training that fails.
    """
    rows = {part: [row[0] for row in read_filelist(paths.audio_list(part))] for part in PARTS}
    needed = max(cfg.batch_size, cfg.fastpitch_batch_size) * cfg.processes
    if len(rows["train"]) < needed:
        raise InputError(
            f"{paths.dataset}: only {len(rows['train'])} of its clips are for training, but a step takes {needed}; "
            "record more, or give smaller --vocoder-batch-size and --fastpitch-batch-size"
        )
    trial = paths.work / "trial"
    shutil.rmtree(trial, ignore_errors=True)
    audio = _sample(paths.audio_list("train"), trial / "audio.txt", cfg.batch_size * cfg.processes, cfg.seed)
    speech = _sample(
        paths.speech_list("train"), trial / "speech.txt", cfg.fastpitch_batch_size * cfg.processes, cfg.seed
    )
    lists = [str(speech), str(paths.speech_list("val"))]
    clips = sum(len(read_filelist(path)) for path in lists)
    began = time.perf_counter()
    children.run([*pitch_command(paths, cfg), "--wav-text-filelists", *lists])
    pitch_sec = (time.perf_counter() - began) / clips * sum(map(len, rows.values()))
    few: dict[str, Any] = {"epochs": 1, "step_logs_interval": 1, "validation_interval": 1}
    vocoder, fastpitch = trial / "vocoder", trial / "fastpitch"
    commands = [
        override(vocoder_command(paths, cfg), training_files=audio, output=vocoder, **few),
        override(fastpitch_command(paths, cfg), training_files=speech, output=fastpitch, **few),
    ]
    for together in [commands] if cfg.parallel else [[command] for command in commands]:
        children.run(*together)
    estimate = Estimate(
        clips={part: len(found) for part, found in rows.items()},
        hours={part: _hours([paths.data / path for path in found]) for part, found in rows.items()},
        pitch_sec=pitch_sec,
        vocoder=read_trial(vocoder),
        fastpitch=read_trial(fastpitch),
        parallel=cfg.parallel,
    )
    shutil.rmtree(trial)
    return estimate


def read_trial(folder: Path) -> Measured:
    """Return the cost of a training of one epoch that logged every step.

    Raises:
        InputError: its log or its checkpoint is missing.
    """
    records = read_records(folder / "nvlog.json")
    steps = [record["data"]["train_took"] for record in records if "train_took" in record["data"]]
    # The validation lies between the last line of the epoch's steps and its own.
    ends = [float(record["timestamp"]) for record in records if "avg_train_took" in record["data"]]
    validated = [
        float(record["timestamp"]) for record in records if "val_mel_loss" in record["data"] and record["step"] != [0]
    ]
    sizes = [path.stat().st_size for path in folder.glob("*.pt")]
    if not (steps and ends and validated and sizes):
        raise InputError(f"{folder}: the trial wrote no complete log")
    return Measured(fmean(steps[FIRST_STEPS:] or steps), validated[-1] - ends[-1], sum(sizes))


def training_sec(log: Path) -> float:
    """Return the seconds that a training spent in steps, over all its starts, from its nvlog.json.

    Steps that were lost because a start was killed count too. The last few before a kill may be missing.
    """
    total, place = 0.0, (0, 0)
    for step, data in read_json_lines(log):
        if "train_took" in data:
            epoch, iteration = step[0], step[1]
            is_next = epoch == place[0] and iteration > place[1]
            total += data["train_took"] * (iteration - place[1] if is_next else iteration)
            place = (epoch, iteration)
    return total


def check_disk(estimate: Estimate, cfg: VoiceTrainingConfig, paths: VoicePaths) -> None:
    """Raise `InputError` if the disk has too little room for the training."""
    free, needed = shutil.disk_usage(paths.work).free, estimate.disk_bytes(cfg)
    if free < needed:
        raise InputError(
            f"{paths.work}: the training needs {needed / 1e9:.2f} GB of disk, but {free / 1e9:.2f} GB are free; "
            "make room, or give another --work"
        )


def _sample(source: Path, target: Path, clips_per_step: int, seed: int) -> Path:
    """Write a random sample of a list that is enough for the trial's steps."""
    rows = ["|".join(row) for row in read_filelist(source)]
    write_lines(target, random.Random(seed).sample(rows, min(len(rows), TRIAL_STEPS * clips_per_step)))
    return target


def _hours(paths: Sequence[Path]) -> float:
    infos = [wav_info(path) for path in paths]
    return sum(info.frames / info.sampling_rate for info in infos) / 3600
