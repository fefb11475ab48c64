"""Flags of `train.py` as frozen dataclasses: field name == flag == checkpoint key."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.audio_config import MAX_WAV_VALUE, OUR_MELS, AudioConfig, MelConvention
from common.cli import ArgumentParser, add_flags, flag, from_flags, not_negative, positive, refuse_contradictions
from common.data.flags import SignalFlags
from common.download.hub import find_generator, is_model
from common.errors import InputError
from common.training.flags import BaseDataConfig, BaseOptimConfig, BaseRunConfig, parse_flags
from hifigan.config import DiscriminatorConfig, GeneratorConfig, read_config_file


@dataclasses.dataclass(frozen=True)
class VocoderRunConfig(BaseRunConfig):
    """A run of the vocoder: how steps are computed, and where training starts."""

    fast: str = flag(
        "on",
        "on: fast formulations of the same mathematics, with different rounding; off: the recipe computed plainly",
        choices=("on", "off"),
    )
    cuda_graphs: bool = flag(
        True,
        "with --fast on and on GPUs, launch each optimiser step as CUDA graphs: one, or three with several processes "
        "(not yet run). Over a slow network --no-cuda-graphs may be faster: gradients are then exchanged during the "
        "backward pass",
    )
    no_amp_grouped_conv: bool = flag(
        False, "keep the grouped convolutions of the discriminators in fp32", only_with="amp"
    )
    concat_fwd: bool = flag(
        False, "let the discriminators judge real and fake in one call, as --fast does where it is faster"
    )
    discriminator_width: float = flag(
        1.0,
        "channels of the discriminators relative to the paper's, a multiple of 1/8: narrower ones cost a fraction of "
        "the time, for fine-tuning on a CPU",
    )
    checkpoint_path_gen: str = flag(
        "",
        "start from this generator when not resuming: a file of any public format, a model's folder or a hub name, "
        "org/name",
        metavar="NAME|PATH",
        convert=find_generator,
    )
    checkpoint_path_discrim: str = flag(
        "",
        "start from these discriminators when not resuming: a checkpoint file, since models for sharing have none",
        metavar="PATH",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.checkpoint_path_discrim and not self.checkpoint_path_gen:
            raise InputError("--checkpoint-path-discrim: needs --checkpoint-path-gen")
        if self.checkpoint_path_discrim and is_model(self.checkpoint_path_discrim):
            raise InputError(
                f"--checkpoint-path-discrim: {self.checkpoint_path_discrim}: models for sharing have no "
                "discriminators; give a checkpoint file of a training run, or omit the flag"
            )
        if not 0 < self.discriminator_width <= 1 or self.discriminator_width * 8 % 1:
            raise InputError(f"--discriminator-width: {self.discriminator_width:g} is not one of 1/8, 2/8 to 1")


@dataclasses.dataclass(frozen=True)
class VocoderOptimConfig(BaseOptimConfig):
    """AdamW with a learning rate that decays with each epoch (paper section 3.1, with this recipe's rates)."""

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
        self.check_betas()
        not_negative(weight_decay=self.weight_decay)

    def learning_rate_at(self, epoch: int, step: int) -> float:
        warmup = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return self.learning_rate * self.fine_tune_lr_factor * self.learning_rate_decay**epoch * warmup


@dataclasses.dataclass(frozen=True)
class VocoderDataConfig(BaseDataConfig):
    """Which audio is used, and how it is cut."""

    training_files: tuple[str, ...] = flag(
        (), "file lists for training, one wav path a line", metavar="PATH", required=True
    )
    dataset_cache: str = flag(
        "auto",
        "where each process keeps all clips (4 bytes a sample) after reading them once: RAM or the training device. "
        "auto is none on a CPU and with --fast off; else the GPU, if they take at most a quarter of it; else RAM, if "
        "the clips of all processes take at most a quarter of the free memory",
        choices=("auto", "none", "ram", "device"),
    )
    hifigan_config: str = flag("v1", "generator: v1, v2, v3 or a JSON file with the six keys", metavar="NAME|PATH")
    segment_size: int = flag(8192, "samples in one training segment")
    input_mels_dir: str = flag("", "fine-tune on the mels of an acoustic model in this directory", metavar="PATH")
    input_mels_framing: str = flag(
        "auto",
        "how these mels align with the audio: auto follows the directory's description, else tacotron, FastPitch's "
        "framing; vocoder pairs them half a hop out of phase, as the recipe of 2022 did",
        choices=("auto", "tacotron", "vocoder"),
        only_with="input_mels_dir",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(segment_size=self.segment_size)


@dataclasses.dataclass(frozen=True)
class VocoderSignalFlags(SignalFlags):
    """The signal contract of the generator's input, and the bands of the loss."""

    mel_fmax_loss: float | None = flag(
        None, "highest mel frequency of the loss in Hz; without it, the Nyquist frequency"
    )


@dataclasses.dataclass(frozen=True)
class VocoderTrainConfig:
    """The whole configuration of a training run.

    Attributes:
        run, optim, data: flags.
        audio: settings of the generator's mels.
        generator: its architecture.
        mel_fmax_loss: highest frequency of the loss in Hz, or None.
        learned_framing: framing that the generator learns to take.
        convention: how the generator's mels differ from this project's, if another program made the base.
        discriminators: how they differ from this recipe's, if another program made the base.
    """

    run: VocoderRunConfig
    optim: VocoderOptimConfig
    data: VocoderDataConfig
    audio: AudioConfig
    generator: GeneratorConfig
    mel_fmax_loss: float | None = None
    learned_framing: str = "vocoder"
    convention: MelConvention = OUR_MELS
    discriminators: DiscriminatorConfig = DiscriminatorConfig()  # noqa: RUF009 (frozen)

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
        if self.generator.surplus_samples:
            raise InputError(
                f"--checkpoint-path-gen: this generator makes {self.generator.surplus_samples} samples more than its "
                "frames stand for, and cannot be trained here"
            )
        if self.data.input_mels_dir and self.convention != OUR_MELS:
            raise InputError(
                "--input-mels-dir: mels of an acoustic model are in natural logarithms, which this generator of "
                "another program does not take; fine-tune it on audio"
            )
        if self.data.input_mels_dir and not self.run.checkpoint_path_gen:
            raise InputError(
                "--input-mels-dir: fine-tuning starts from a trained generator; give --checkpoint-path-gen"
            )

    @property
    def loss_audio(self) -> AudioConfig:
        """The mel spectrogram of the loss, by default up to the Nyquist frequency."""
        return dataclasses.replace(self.audio, mel_fmax=self.mel_fmax_loss)

    @property
    def segment_frames(self) -> int:
        return self.data.segment_size // self.audio.hop_length

    def architecture(self) -> dict[str, Any]:
        """Return the `config` of a checkpoint."""
        return self.generator.to_dict()

    def train_setup(self) -> dict[str, Any]:
        """Return the `train_setup` of a checkpoint: plain values under their public names."""
        return {
            **dataclasses.asdict(self.audio),
            "framing": self.learned_framing,
            **self.convention.to_dict(),
            "mel_fmax_loss": self.mel_fmax_loss,
            "segment_size": self.data.segment_size,
            "max_wav_value": MAX_WAV_VALUE,
            "seed": self.run.seed,
            "base_lr": self.optim.learning_rate,
            "lr_decay": self.optim.learning_rate_decay,
            "epochs_all": self.run.epochs,
        }


def make_parser() -> ArgumentParser:
    """Return the parser of `train.py`."""
    parser = ArgumentParser(
        prog="train.py",
        description="Trains HiFi-GAN on wav files.",
        epilog="Start several processes with torchrun. Flags may be written with - or _.",
        examples=(
            "-d my_data --training-files train.txt --validation-files val.txt -o output --cuda --amp",
            "-d my_data --training-files train.txt --validation-files val.txt -o tuned --checkpoint-path-gen G.pt",
        ),
    )
    add_flags(parser, VocoderRunConfig, "run")
    add_flags(parser, VocoderOptimConfig, "optimiser")
    add_flags(parser, VocoderDataConfig, "data")
    add_flags(parser, VocoderSignalFlags, "signal")
    return parser


def parse_train_config(argv: Sequence[str] | None = None) -> VocoderTrainConfig:
    """Parse the command line.

    The generator and the signal contract come from the base checkpoint, then from the JSON configuration, then from
    flags. A flag that contradicts the checkpoint or the file is an error.

    Raises:
        InputError: contradictory or impossible values, with the flag's name.
    """
    given = parse_flags(make_parser(), argv)
    run = from_flags(VocoderRunConfig, given)
    data = from_flags(VocoderDataConfig, given)
    generator, fixed, source, convention = _read_fixed_settings(run, data, "hifigan_config" in given)
    refuse_contradictions(given, fixed, source)
    flags = {field.name: given[field.name] for field in dataclasses.fields(VocoderSignalFlags) if field.name in given}
    signal = {**dataclasses.asdict(VocoderSignalFlags()), **fixed, **flags}
    if "segment_size" in fixed:
        data = dataclasses.replace(data, segment_size=fixed["segment_size"])
    return VocoderTrainConfig(
        run=run,
        optim=from_flags(VocoderOptimConfig, given),
        data=data,
        audio=AudioConfig.from_dict(signal),
        generator=dataclasses.replace(generator, num_mels=signal["num_mels"]),
        mel_fmax_loss=signal["mel_fmax_loss"],
        convention=convention,
        discriminators=_read_discriminator_config(run),
    )


def _read_discriminator_config(run: VocoderRunConfig) -> DiscriminatorConfig:
    """Return what differs in the base's discriminators."""
    if not run.checkpoint_path_discrim:
        return DiscriminatorConfig()
    from hifigan.training.discriminator_files import read_discriminators  # imports PyTorch

    return DiscriminatorConfig.from_dict(read_discriminators(run.checkpoint_path_discrim).config)


def _read_fixed_settings(
    run: VocoderRunConfig, data: VocoderDataConfig, config_given: bool
) -> tuple[GeneratorConfig, dict[str, Any], str, MelConvention]:
    """Return what a base checkpoint or a configuration file fixes: generator, signal settings, its name, mels."""
    convention = OUR_MELS
    chosen, fixed = read_config_file(data.hifigan_config)
    source = data.hifigan_config
    if run.checkpoint_path_gen:
        # Without --hifigan-config the checkpoint decides. With it, the loader refuses an architecture that contradicts
        # the checkpoint, and takes signal settings from the file that the checkpoint lacks.
        from hifigan.checkpoint import load_trainable_generator  # imports PyTorch

        _, info = load_trainable_generator(run.checkpoint_path_gen, data.hifigan_config if config_given else None)
        audio = dataclasses.asdict(info.audio)
        if not info.program:
            del audio["framing"]  # recordings are framed as for any training
        if info.output_rate not in (None, info.audio.sampling_rate):
            raise InputError(
                f"--checkpoint-path-gen: {info.path} changes the sampling rate, and cannot be trained here"
            )
        convention = info.convention
        source = os.fspath(Path(run.checkpoint_path_gen))
        for name, value in fixed.items():
            if audio.get(name, value) != value:
                raise InputError(f"--hifigan-config: {name} {value} contradicts {source}, which has {audio[name]}")
        chosen, fixed = info.config, {**fixed, **audio}
    return chosen, fixed, source, convention
