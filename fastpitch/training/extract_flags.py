"""Flags of `python -m fastpitch.extract_mels`."""

from __future__ import annotations

import dataclasses

from common.cli import ArgumentParser, add_flags, flag, folders, not_negative, positive
from common.download.hub import find_fastpitch
from common.errors import InputError
from common.machine.hardware import AMP_FORMATS
from common.resources import available_cores
from fastpitch.synthesis.text_flags import TextFlags


@dataclasses.dataclass(frozen=True)
class ExtractConfig(TextFlags):
    """Recordings, model and computation of an extraction."""

    fastpitch: str = flag(
        "",
        "FastPitch checkpoint with its aligner, a model's folder or a hub name, org/name",
        metavar="NAME|PATH",
        required=True,
        convert=find_fastpitch,
    )
    ema: bool = flag(False, "use the checkpoint's moving average of the weights (from training with --ema)")
    dataset_path: str = flag(
        "data/LJSpeech-1.1", "directory that the file lists are relative to", short=("-d",), metavar="PATH"
    )
    filelists: tuple[str, ...] = flag(
        ("data/filelists/ljs_audio_pitch_text.txt",),
        "file lists of wav|pitch|text or wav|pitch|text|speaker",
        metavar="PATH",
    )
    output: str = flag(
        "data/mels-fastpitch-ljs22khz", "directory of the mels, <clip>.npy [80, frames]", short=("-o",), metavar="PATH"
    )
    cuda: bool = flag(False, "run on GPUs (without it: on the CPU)")
    amp: bool = flag(False, f"mixed precision: {AMP_FORMATS}")
    batch_size: int = flag(16, "utterances in one pass of one process", short=("-bs",))
    num_workers: int = flag(min(4, available_cores()), "processes that load audio; 0 loads in the extracting process")
    pitch_mean: float | None = flag(
        None, "mean of the voice's pitch in Hz, for checkpoints without it; by default LJSpeech's"
    )
    pitch_std: float | None = flag(None, "standard deviation of the voice's pitch in Hz, likewise")

    def __post_init__(self) -> None:
        super().__post_init__()
        folders(output=self.output)
        positive(batch_size=self.batch_size)
        not_negative(num_workers=self.num_workers)
        if (self.pitch_mean is None) != (self.pitch_std is None):
            raise InputError("--pitch-mean and --pitch-std: give both or neither")
        if self.pitch_mean is not None and self.pitch_std is not None:
            positive(pitch_mean=self.pitch_mean, pitch_std=self.pitch_std)


def make_parser() -> ArgumentParser:
    """Return the parser of `python -m fastpitch.extract_mels`."""
    parser = ArgumentParser(
        prog="fastpitch.extract_mels",
        description="Extracts teacher-forced FastPitch mels, to fine-tune HiFi-GAN on. Skips existing files.",
        epilog="Start several processes with torchrun. Flags may be written with - or _.",
    )
    add_flags(parser, ExtractConfig, "extraction")
    return parser
