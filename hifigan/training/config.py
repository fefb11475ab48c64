"""Everything `train.py` can be told, as frozen dataclasses: field name == flag == checkpoint key."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.audio import MAX_WAV_VALUE, AudioConfig
from common.cli import ArgumentParser, add_flags, flag, from_flags, not_negative, positive, refuse_contradictions
from common.errors import InputError
from common.machine.hardware import available_cores
from common.training import flags
from hifigan.checkpoint import load_trainable_generator
from hifigan.config import GeneratorConfig, read_config_file


@dataclasses.dataclass(frozen=True)
class RunConfig(flags.RunConfig):
    """What every run can be told, and what only the vocoder has."""

    fast: str = flag(
        "on",
        "on: fast formulations of the same mathematics, which add in another order; off: the recipe written plainly",
        choices=("on", "off"),
    )
    cuda_graphs: bool = flag(
        True, "with --fast on and one process on a GPU, launch each optimiser step as one CUDA graph (not yet run)"
    )
    no_amp_grouped_conv: bool = flag(
        False, "keep the grouped convolutions of the discriminators in fp32", only_with="amp"
    )
    concat_fwd: bool = flag(
        False, "the discriminators' step judges real and fake in one call, as --fast does where it is faster"
    )
    checkpoint_path_gen: str = flag("", "start from this generator, of any public format, when not resuming")
    checkpoint_path_discrim: str = flag("", "start from these discriminators when not resuming")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.checkpoint_path_discrim and not self.checkpoint_path_gen:
            raise InputError("--checkpoint-path-discrim: needs --checkpoint-path-gen beside it")


@dataclasses.dataclass(frozen=True)
class OptimConfig(flags.StepConfig):
    """AdamW with a learning rate that decays per epoch (paper section 3.1, rates of this recipe)."""

    learning_rate: float = flag(3e-4, "learning rate of the first epoch", short=("-lr",))
    learning_rate_decay: float = flag(0.9998, "factor of the learning rate per epoch")
    fine_tune_lr_factor: float = flag(1.0, "factor of the learning rate; the recipe's is 3", only_with="input_mels_dir")
    adam_beta1: float = flag(0.8, "AdamW's first beta")
    adam_beta2: float = flag(0.99, "AdamW's second beta")
    weight_decay: float = flag(0.01, "AdamW's weight decay")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("learning_rate", "learning_rate_decay", "fine_tune_lr_factor"):
            positive(**{name: getattr(self, name)})
        for name in ("adam_beta1", "adam_beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')}: {getattr(self, name)} is not between 0 and 1")
        not_negative(weight_decay=self.weight_decay)

    def learning_rate_at(self, epoch: int, step: int) -> float:
        warmup = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return self.learning_rate * self.fine_tune_lr_factor * self.learning_rate_decay**epoch * warmup


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which audio is used, and how it is cut."""

    dataset_path: str = flag("data/LJSpeech-1.1", "directory that the file lists are relative to", short=("-d",))
    training_files: tuple[str, ...] = flag((), "file lists for training, one wav path a line (required)")
    validation_files: tuple[str, ...] = flag((), "file lists for validation (required)")
    hifigan_config: str = flag("v1", "generator: v1, v2, v3 or a JSON file with the six keys")
    segment_size: int = flag(8192, "samples in one training segment")
    num_workers: int = flag(min(4, available_cores()), "processes that load audio; 0 loads in the training process")
    dataset_cache: str = flag(
        "auto",
        "where each process keeps all clips (4 bytes a sample) once they are read: RAM, or the training device; auto "
        "is none on a CPU and with --fast off, else a GPU of which they take a quarter at most, else RAM of which all "
        "processes' clips take a quarter of what is free",
        choices=("auto", "none", "ram", "device"),
    )
    input_mels_dir: str = flag("", "fine-tune on the mels of this directory, as an acoustic model made them")
    input_mels_framing: str = flag(
        "auto",
        "how these mels lie over the audio: auto is as described in the directory, else tacotron, as FastPitch makes "
        "them; vocoder pairs them half a hop out of phase, as the recipe of 2022 did",
        choices=("auto", "tacotron", "vocoder"),
        only_with="input_mels_dir",
    )

    def __post_init__(self) -> None:
        positive(segment_size=self.segment_size)
        not_negative(num_workers=self.num_workers)
        for name in ("training_files", "validation_files"):
            if not getattr(self, name):
                raise InputError(f"--{name.replace('_', '-')}: give at least one file list")


@dataclasses.dataclass(frozen=True)
class SignalFlags(flags.SignalFlags):
    """The signal contract of the generator's input, and the bands of the loss."""

    mel_fmax_loss: float | None = flag(
        None, "highest mel frequency of the loss in Hz; without it, the Nyquist frequency"
    )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The whole configuration of a training run; `learned_framing` is that of the mels that the generator will take."""

    run: RunConfig
    optim: OptimConfig
    data: DataConfig
    audio: AudioConfig
    generator: GeneratorConfig
    mel_fmax_loss: float | None = None
    learned_framing: str = "vocoder"

    def __post_init__(self) -> None:
        hop, segment = self.audio.hop_length, self.data.segment_size
        if self.generator.hop_length != hop:
            raise InputError(
                f"--hop-length: {hop}, but the upsampling rates {list(self.generator.upsample_rates)} "
                f"multiply to {self.generator.hop_length}"
            )
        if segment % hop:
            raise InputError(f"--segment-size: {segment} is not a multiple of the hop length {hop}")
        if segment <= self.audio.padding:
            raise InputError(f"--segment-size: {segment} is too short, needs more than {self.audio.padding} samples")
        if self.data.input_mels_dir and not self.run.checkpoint_path_gen:
            raise InputError(
                "--input-mels-dir: fine-tuning starts from a trained generator; give --checkpoint-path-gen"
            )

    @property
    def loss_audio(self) -> AudioConfig:
        """The mel spectrogram of the loss: up to the Nyquist frequency unless told otherwise."""
        return dataclasses.replace(self.audio, mel_fmax=self.mel_fmax_loss)

    @property
    def segment_frames(self) -> int:
        return self.data.segment_size // self.audio.hop_length

    def architecture(self) -> dict[str, Any]:
        """The `config` of a checkpoint."""
        return self.generator.to_dict()

    def train_setup(self) -> dict[str, Any]:
        """The `train_setup` of a checkpoint: plain values under their public names."""
        return {
            **dataclasses.asdict(self.audio),
            "framing": self.learned_framing,
            "log_base": "ln",
            "mel_fmax_loss": self.mel_fmax_loss,
            "segment_size": self.data.segment_size,
            "max_wav_value": MAX_WAV_VALUE,
            "seed": self.run.seed,
            "base_lr": self.optim.learning_rate,
            "lr_decay": self.optim.learning_rate_decay,
            "epochs_all": self.run.epochs,
        }


def parse_train_config(argv: Sequence[str] | None = None) -> TrainConfig:
    """Command line -> TrainConfig.

    The generator and the signal contract come from the base checkpoint, then from the JSON configuration, then from
    flags; a flag that contradicts the checkpoint or the file is an error.

    Raises:
        InputError: contradictory or impossible values, with the flag's name.
    """
    parser = ArgumentParser(prog="train.py", description="Trains HiFi-GAN on wav files.", epilog=_EPILOG)
    for cls, title in ((RunConfig, "run"), (OptimConfig, "optimiser"), (DataConfig, "data"), (SignalFlags, "signal")):
        add_flags(parser, cls, title)
    given = vars(parser.parse_args(argv))
    if given.get("global_batch_size") and "grad_accumulation" in given:
        raise InputError("--global-batch-size: sets --grad-accumulation; give one of them")
    run = from_flags(RunConfig, given)
    data = from_flags(DataConfig, given)
    generator, settled, source = _settled_signal(run, data, "hifigan_config" in given)
    refuse_contradictions(given, settled, source)
    flags = {field.name: given[field.name] for field in dataclasses.fields(SignalFlags) if field.name in given}
    signal = {**dataclasses.asdict(SignalFlags()), **settled, **flags}
    if "segment_size" in settled:
        data = dataclasses.replace(data, segment_size=settled["segment_size"])
    return TrainConfig(
        run=run,
        optim=from_flags(OptimConfig, given),
        data=data,
        audio=AudioConfig.from_dict(signal),
        generator=dataclasses.replace(generator, num_mels=signal["num_mels"]),
        mel_fmax_loss=signal["mel_fmax_loss"],
    )


_EPILOG = "Start several processes with torchrun. Flags may be written with - or _."


def _settled_signal(
    run: RunConfig, data: DataConfig, config_given: bool
) -> tuple[GeneratorConfig, dict[str, Any], str]:
    """Generator and signal settings that a base checkpoint or a configuration file fixes, and which of them it was."""
    chosen, settled = read_config_file(data.hifigan_config)
    source = data.hifigan_config
    if run.checkpoint_path_gen:
        # Without --hifigan-config the checkpoint decides; with it, the loader refuses an architecture that contradicts,
        # and takes from it what the checkpoint does not say about the signal.
        _, info = load_trainable_generator(run.checkpoint_path_gen, data.hifigan_config if config_given else None)
        audio = dataclasses.asdict(info.audio)
        del audio["framing"]
        source = os.fspath(Path(run.checkpoint_path_gen))
        for name, value in settled.items():
            if audio.get(name, value) != value:
                raise InputError(f"--hifigan-config: {name} {value} contradicts {source}, which has {audio[name]}")
        chosen, settled = info.config, {**settled, **audio}
    return chosen, settled, source
