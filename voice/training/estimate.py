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
    PARTS,
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
FEW_PAIRS = 8  # clips to measure the writing of pairs with
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
        mels_sec: seconds to extract FastPitch's mels of the training and validation clips, and to write pairs.
        vocoder: cost of a step of the vocoder.
        fastpitch: cost of a step of FastPitch.
        parallel: the trainings were measured at the same time, and will run so.
    """

    clips: Mapping[str, int]
    hours: Mapping[str, float]
    pitch_sec: float
    mels_sec: float
    vocoder: Measured
    fastpitch: Measured
    parallel: bool

    def steps_per_epoch(self, cfg: VoiceTrainingConfig) -> dict[str, int]:
        """Return the steps in an epoch of each training. Fine-tuning has every clip twice."""
        clips, processes = self.clips["train"], cfg.processes
        return {
            "fastpitch": clips // (cfg.fastpitch_batch_size * processes),
            "vocoder": clips // (cfg.vocoder_batch_size * processes),
            "fine-tuning": 2 * clips // (cfg.vocoder_batch_size * processes),
        }

    def seconds(self, cfg: VoiceTrainingConfig) -> dict[str, float]:
        """Return the seconds of each stage, at most: without an early end."""
        steps = self.steps_per_epoch(cfg)
        speech, vocoder = self.fastpitch, self.vocoder
        pairs_validation_sec = 2 * vocoder.validation_sec  # of recordings, and of FastPitch's mels of them
        epoch_sec = {
            "fastpitch": steps["fastpitch"] * speech.step_sec + speech.validation_sec / cfg.fastpitch_validation_epochs,
            "vocoder": steps["vocoder"] * vocoder.step_sec + vocoder.validation_sec / cfg.vocoder_validation_epochs,
            "fine-tuning": steps["fine-tuning"] * vocoder.step_sec
            + pairs_validation_sec / cfg.fine_tuning_validation_epochs,
        }
        return {
            "pitch": self.pitch_sec,
            "fastpitch": cfg.fastpitch_epochs * epoch_sec["fastpitch"],
            "vocoder": cfg.vocoder_epochs * epoch_sec["vocoder"],
            "mels": self.mels_sec if cfg.fine_tuning_epochs else 0.0,
            "fine-tuning": cfg.fine_tuning_epochs * epoch_sec["fine-tuning"],
        }

    def total_sec(self, cfg: VoiceTrainingConfig) -> float:
        """Return the seconds of everything before the evaluation."""
        found = self.seconds(cfg)
        hidden = min(found["fastpitch"], found["vocoder"]) if self.parallel else 0.0
        return sum(found.values()) - hidden

    def disk_bytes(self, cfg: VoiceTrainingConfig, sampling_rate: int = 22050) -> float:
        """Return the bytes that the working folder and the voice take at most, without converted recordings."""
        # The best checkpoint is one more, and so is the oldest while it is being replaced.
        vocoders = (cfg.vocoder_epochs > 0) + (cfg.fine_tuning_epochs > 0)
        kept = (KEPT_CHECKPOINTS + 2) * (vocoders * self.vocoder.checkpoint_bytes + self.fastpitch.checkpoint_bytes)
        systems = 5 + len(cfg.compare)  # recordings, voice and base, then recordings and voice for the texts
        wavs = self.hours["test"] * 3600 * sampling_rate * BYTES_PER_SAMPLE * systems
        pitch = sum(self.hours.values()) * 3600 * sampling_rate / 256 * 4
        pair = 3600 * sampling_rate * (BYTES_PER_SAMPLE + BYTES_PER_MEL_SAMPLE)  # in an hour of audio
        learned = self.hours["train"] + self.hours["val"]
        pairs = 2 * learned * pair + learned * 3600 * sampling_rate * BYTES_PER_MEL_SAMPLE
        return kept + wavs + pitch + (pairs if cfg.fine_tuning_epochs else 0) + LOG_BYTES

    def lines(self, cfg: VoiceTrainingConfig, paths: VoicePaths) -> list[str]:
        """Return the estimate and the settings in words, a line for each part."""
        free = shutil.disk_usage(paths.work).free
        parts = ", ".join(f"{name} {self.clips[name]}" for name in PARTS)
        most = "at most " if cfg.patience else ""
        end = f", ends after {cfg.patience} validations without improvement" if cfg.patience else ""
        together = "vocoder and FastPitch at the same time" if self.parallel else "one after the other"
        return [
            f"data set   {sum(self.clips.values())} clips, {sum(self.hours.values()):.2f} hours ({parts})",
            f"pitch      {in_words(self.pitch_sec)}",
            *self._training_lines(cfg, most),
            f"together   {most}{in_words(self.total_sec(cfg))}, {together}{end}; then the evaluation",
            f"disk       {self.disk_bytes(cfg) / 1e9:.2f} GB in {paths.work} ({free / 1e9:.1f} GB are free)",
        ]

    def _training_lines(self, cfg: VoiceTrainingConfig, most: str) -> list[str]:
        """Return a line for each training: time, epochs, batch size, learning rate, and what it starts from."""
        seconds, steps = self.seconds(cfg), self.steps_per_epoch(cfg)
        lines = [
            f"FastPitch  {most}{in_words(seconds['fastpitch'])}: {cfg.fastpitch_epochs} epochs of {steps['fastpitch']} "
            f"steps of {self.fastpitch.step_sec:.2f} s, measured here; from {cfg.fastpitch_base or cfg.base}, "
            f"batch size {cfg.fastpitch_batch_size}, learning rate {cfg.fastpitch_learning_rate:g}"
        ]
        vocoder = f"from {cfg.vocoder_base or cfg.base}, batch size {cfg.vocoder_batch_size}, learning rate "
        if cfg.vocoder_epochs:
            lines.append(
                f"vocoder    {most}{in_words(seconds['vocoder'])}: {cfg.vocoder_epochs} epochs of {steps['vocoder']} "
                f"steps of {self.vocoder.step_sec:.2f} s, measured here; {vocoder}{cfg.vocoder_learning_rate:g}"
            )
        if cfg.fine_tuning_epochs:
            start = "" if cfg.vocoder_epochs else vocoder
            lines.append(
                f"tuning     {most}{in_words(seconds['mels'] + seconds['fine-tuning'])}: the vocoder on recordings and "
                f"on FastPitch's mels, {cfg.fine_tuning_epochs} epochs of {steps['fine-tuning']} steps of "
                f"{self.vocoder.step_sec:.2f} s; {start or 'learning rate '}{cfg.fine_tuning_learning_rate:g}"
            )
        return lines

    def save(self, path: Path) -> None:
        write_whole(path, (json.dumps(dataclasses.asdict(self), indent=1) + "\n").encode())

    @staticmethod
    def load(path: Path) -> Estimate:
        values = read_json(path)
        return Estimate(**{**values, **{name: Measured(**values[name]) for name in ("vocoder", "fastpitch")}})


def measure(paths: VoicePaths, cfg: VoiceTrainingConfig, children: ChildProcesses) -> Estimate:
    """Train both models for a few steps in a folder that is removed afterwards.

    Raises:
        InputError: a training that fails.
    """
    rows = {part: [row[0] for row in read_filelist(paths.audio_list(part))] for part in PARTS}
    trial = paths.work / "trial"
    shutil.rmtree(trial, ignore_errors=True)
    audio = _sample(paths.audio_list("train"), trial / "audio.txt", cfg.vocoder_batch_size * cfg.processes, cfg.seed)
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
    spoken = read_trial(fastpitch)
    # Extraction passes each clip through the model once, as a validation does, and reads and writes audio besides.
    clip_sec = spoken.validation_sec / len(rows["val"]) + _pair_sec(paths, rows["val"], trial)
    estimate = Estimate(
        clips={part: len(found) for part, found in rows.items()},
        hours={part: _hours([paths.data / path for path in found]) for part, found in rows.items()},
        pitch_sec=pitch_sec,
        mels_sec=clip_sec * (len(rows["train"]) + len(rows["val"])),
        vocoder=read_trial(vocoder),
        fastpitch=spoken,
        parallel=cfg.parallel,
    )
    shutil.rmtree(trial)
    return estimate


def _pair_sec(paths: VoicePaths, wavs: Sequence[str], trial: Path) -> float:
    """Return the seconds that it takes to write both pairs of a clip."""
    few = wavs[:FEW_PAIRS]
    began = time.perf_counter()
    dataclasses.replace(paths.pairs, folder=trial / "pairs").write("val", few, paths.data)
    return 2 * (time.perf_counter() - began) / len(few)


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
