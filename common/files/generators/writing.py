"""Input of the writers for other programs, and functions that they share."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from common.audio_config import AudioConfig, MelConvention
from common.errors import InputError
from common.files.generators.file import MELS, State


@dataclasses.dataclass(frozen=True)
class Portable:
    """A generator to be written for another program.

    Attributes:
        state: tensors under the paper authors' names, residual blocks in one sequence.
        config: the generator's keys, with those of variants.
        audio: settings of its mels.
        convention: how its mels differ from this project's beyond `audio`.
        output_rate: sampling rate of its audio in Hz.
    """

    state: State
    config: Mapping[str, Any]
    audio: AudioConfig
    convention: MelConvention
    output_rate: int

    def refuse(self, program: str, **wanted: Any) -> None:
        """Raise `InputError` unless the configuration has these values. A missing one counts as the paper's."""
        for key, value in wanted.items():
            found = self.config.get(key, value)
            if found != value:
                raise InputError(f"--format: {program} has no generators whose {key} is {found!r}")

    def refuse_exact_upsampling(self, program: str) -> None:
        """Raise `InputError` if a stage has ParallelWaveGAN's padding and an odd kernel - rate."""
        if self.config.get("exact_upsampling"):
            self.refuse_odd(program)

    def refuse_resampling(self, program: str) -> None:
        """Raise `InputError` if the audio has another sampling rate than the mels."""
        if self.output_rate != self.audio.sampling_rate:
            raise InputError(f"--format: {program} has no generators that change the sampling rate")

    def refuse_odd(self, program: str) -> None:
        """Raise `InputError` if kernel - rate is odd in a stage."""
        for rate, kernel in zip(self.config["upsample_rates"], self.config["upsample_kernel_sizes"], strict=True):
            if (kernel - rate) % 2:
                raise InputError(f"--format: {program} pads kernel {kernel} of rate {rate} in another way")


@dataclasses.dataclass(frozen=True)
class Writer:
    """How files of a program are written.

    Attributes:
        weight_norm: the program wants weights as norm and direction, instead of plain.
        write: writes the files to a path, and returns what the user must know.
    """

    weight_norm: bool
    write: Callable[[Path, Portable], list[str]]


def flat_blocks(state: Mapping[str, Tensor], blocks_per_stage: int) -> State:
    """Number residual blocks in one sequence: `resblocks.2.1.convs...` -> `resblocks.7.convs...`."""

    def rename(match: re.Match[str]) -> str:
        return f"resblocks.{int(match[1]) * blocks_per_stage + int(match[2])}.convs"

    return {re.sub(r"^resblocks\.(\d+)\.(\d+)\.convs", rename, key): value for key, value in state.items()}


def own_tensors(state: Mapping[str, Tensor]) -> State:
    """Return copies that own exactly their memory, as files should hold."""
    return {key: value.detach().cpu().clone().contiguous() for key, value in state.items()}


def describe_mels(portable: Portable) -> dict[str, Any]:
    """Return a section for another program's configuration, which keeps what its own keys cannot state."""
    values = {**dataclasses.asdict(portable.audio), **dataclasses.asdict(portable.convention)}
    is_same = portable.output_rate == portable.audio.sampling_rate
    return {MELS: values if is_same else {**values, "output_sampling_rate": portable.output_rate}}


def differing_mels(portable: Portable, program: str, audio: Mapping[str, Any], convention: MelConvention) -> list[str]:
    """Return a line about settings of mels that the program's files cannot state, or nothing.

    Args:
        portable: the generator.
        program: for the message.
        audio: values of `AudioConfig` that the program's own mels always have.
        convention: the program's.
    """
    found = {**dataclasses.asdict(portable.audio), **dataclasses.asdict(portable.convention)}
    wanted = {**found, **dataclasses.asdict(convention), **audio}
    skipped = ("obstacle", "epsilon", "last_frame")  # without effect on what a generator can take
    names = [name for name in found if found[name] != wanted[name] and name not in skipped]
    if not names:
        return []
    told = ", ".join(f"{name} {wanted[name]} instead of {found[name]}" for name in names)
    return [f"{program} makes other mels from audio than this generator takes ({told}); give it mels of the right kind"]
