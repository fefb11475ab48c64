"""Everything `python -m fastpitch.train` can be told, as frozen dataclasses: field name == flag == checkpoint key."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.audio import MAX_WAV_VALUE, AudioConfig
from common.cli import ArgumentParser, add_flags, flag, from_flags, not_negative, positive, refuse_contradictions
from common.errors import InputError
from common.machine.hardware import available_cores
from common.text.any_language.notation import PAD
from common.text.settings import TextConfig
from common.training import flags
from common.training.flags import SignalFlags
from fastpitch.checkpoint import load_fastpitch
from fastpitch.config import FastPitchConfig
from fastpitch.synthesis.text_flags import check_symbols


@dataclasses.dataclass(frozen=True)
class RunConfig(flags.RunConfig):
    """What every run can be told, and where FastPitch may start."""

    checkpoint_path: str = flag("", "start from this FastPitch, published or own, when not resuming")


@dataclasses.dataclass(frozen=True)
class OptimConfig(flags.StepConfig):
    """LAMB or AdamW with a learning rate that rises, then falls with the root of the step (the published recipe)."""

    optimizer: str = flag("lamb", "the recipe's LAMB, or AdamW", choices=("lamb", "adamw"))
    learning_rate: float = flag(
        0.1, "factor of the rate, which is this times step / warmup^1.5, then 1 / sqrt(step)", short=("-lr",)
    )
    warmup_steps: int = flag(1000, "optimiser steps over which the learning rate rises from 0")
    grad_clip_thresh: float = flag(1000.0, "largest norm of the gradients (0: no limit)")
    adam_beta1: float = flag(0.9, "the optimiser's first beta")
    adam_beta2: float = flag(0.98, "the optimiser's second beta")
    adam_eps: float = flag(1e-9, "the optimiser's epsilon")
    weight_decay: float = flag(1e-6, "the optimiser's weight decay")
    binarization_warmup_epochs: int = flag(100, "epochs over which the binarisation loss rises to its full weight")

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(learning_rate=self.learning_rate, adam_eps=self.adam_eps)
        for name in ("adam_beta1", "adam_beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')}: {getattr(self, name)} is not between 0 and 1")
        for name in ("weight_decay", "binarization_warmup_epochs"):
            not_negative(**{name: getattr(self, name)})

    def learning_rate_at(self, epoch: int, step: int) -> float:
        rising = (step + 1) / self.warmup_steps**1.5 if self.warmup_steps else math.inf
        return self.learning_rate * min(rising, (step + 1) ** -0.5)

    def binarization_weight(self, epoch: int) -> float:
        """After `epoch` finished epochs."""
        return min(1.0, epoch / self.binarization_warmup_epochs) if self.binarization_warmup_epochs else 1.0


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which recordings are used, and how their texts are read."""

    dataset_path: str = flag("data/LJSpeech-1.1", "directory that the file lists are relative to", short=("-d",))
    training_files: tuple[str, ...] = flag((), "file lists for training, wav|pitch|text a line (required)")
    validation_files: tuple[str, ...] = flag((), "file lists for validation (required)")
    fastpitch_config: str = flag("", "JSON file with keys of the architecture that differ from the recipe's")
    pitch_mean: float | None = flag(
        None, "the voice's mean pitch in Hz; without it, from pitch/pitch_statistics.json of the data set"
    )
    pitch_std: float | None = flag(None, "its standard deviation in Hz, likewise")
    cmudict_path: str = flag("", "pronouncing dictionary; without it, the downloaded or installed one")
    heteronyms_path: str = flag("", "words that are never replaced by phonemes; without it, the list of this program")
    num_workers: int = flag(min(4, available_cores()), "processes that load data; 0 loads in the training process")
    dataset_cache: str = flag("none", "ram: each process makes all mels once and keeps them", choices=("none", "ram"))

    def __post_init__(self) -> None:
        not_negative(num_workers=self.num_workers)
        for name in ("training_files", "validation_files"):
            if not getattr(self, name):
                raise InputError(f"--{name.replace('_', '-')}: give at least one file list")
        if (self.pitch_mean is None) != (self.pitch_std is None):
            raise InputError("--pitch-mean and --pitch-std: belong together; give both or none")
        if self.pitch_mean is not None and self.pitch_std is not None:
            positive(pitch_mean=self.pitch_mean, pitch_std=self.pitch_std)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The whole configuration of a training run; `audio` has "tacotron" framing."""

    run: RunConfig
    optim: OptimConfig
    data: DataConfig
    audio: AudioConfig
    text: TextConfig
    model: FastPitchConfig

    def architecture(self) -> dict[str, Any]:
        """The `config` of a checkpoint."""
        return self.model.to_dict()

    def train_setup(self) -> dict[str, Any]:
        """The `train_setup` of a checkpoint: plain values under their public names."""
        audio = dataclasses.asdict(self.audio)
        del audio["framing"], audio["num_mels"]
        text = dataclasses.asdict(self.text)
        return {
            **audio,
            **text,
            "text_cleaners": list(self.text.text_cleaners),
            "max_wav_value": MAX_WAV_VALUE,
            "seed": self.run.seed,
            "learning_rate": self.optim.learning_rate,
            "epochs_all": self.run.epochs,
        }


def parse_train_config(argv: Sequence[str] | None = None) -> TrainConfig:
    """Command line -> TrainConfig.

    Architecture, signal and text settings come from the base checkpoint, then from the JSON configuration, then from
    flags; a flag or a file that contradicts the checkpoint is an error.

    Raises:
        InputError: contradictory or impossible values, with the flag's name.
    """
    parser = ArgumentParser(
        prog="fastpitch.train",
        description="Trains FastPitch on recordings with texts: symbols -> mel spectrograms.",
        epilog="Start several processes with torchrun. Flags may be written with - or _.",
    )
    sections = ((RunConfig, "run"), (OptimConfig, "optimiser"), (DataConfig, "data"), (TextConfig, "text"))
    for cls, title in (*sections, (SignalFlags, "signal")):
        add_flags(parser, cls, title)
    given = vars(parser.parse_args(argv))
    if given.get("global_batch_size") and "grad_accumulation" in given:
        raise InputError("--global-batch-size: sets --grad-accumulation; give one of them")
    run, data = from_flags(RunConfig, given), from_flags(DataConfig, given)
    architecture = _read_json(data.fastpitch_config)
    signal, reading = dataclasses.asdict(SignalFlags()), TextConfig()
    if run.checkpoint_path:
        _, info = load_fastpitch(run.checkpoint_path)
        signal, reading = dataclasses.asdict(info.audio), TextConfig.from_setup(info.train_setup)
        settled = {**signal, **dataclasses.asdict(reading)}
        del settled["p_arpabet"]  # which may be another from now on
        refuse_contradictions(given, settled, run.checkpoint_path)
        stored = info.config.to_dict()
        if differing := [f"{key} {value}" for key, value in architecture.items() if stored[key] != value]:
            raise InputError(f"--fastpitch-config: {', '.join(differing)} contradicts {run.checkpoint_path}")
        architecture = stored
    text = from_flags(TextConfig, given, **dataclasses.asdict(reading))
    audio = AudioConfig.from_dict({**signal, **given}, framing="tacotron")
    symbols = text.symbols()
    derived = {"n_symbols": len(symbols), "padding_idx": symbols.index(PAD), "n_mel_channels": audio.num_mels}
    model = FastPitchConfig(**{**derived, **architecture})
    check_symbols(text, model)
    if model.n_mel_channels != audio.num_mels:
        raise InputError(f"--num-mels: {audio.num_mels}, but the model has n_mel_channels {model.n_mel_channels}")
    return TrainConfig(run, from_flags(OptimConfig, given), data, audio, text, model)


def _read_json(path: str) -> dict[str, Any]:
    if not path:
        return {}
    if not Path(path).is_file():
        raise FileNotFoundError(f"--fastpitch-config: {path}: no such file")
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"--fastpitch-config: {path} is no JSON file ({error})") from error
    known = {field.name for field in dataclasses.fields(FastPitchConfig)}
    if not isinstance(values, dict):
        raise InputError(f"--fastpitch-config: {path}: not a JSON object of keys and values")
    if unknown := sorted(values.keys() - known):
        raise InputError(f"--fastpitch-config: {path}: unknown keys {', '.join(unknown)}")
    return values
