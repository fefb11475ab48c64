"""Flags of `inference.py`: inputs, outputs, vocoder, measurement and streaming.

`fastpitch/synthesis/pieces.py` has the flags of text to speech.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.audio_config import LOG_BASES
from common.audio_input.names import AUDIO_SUFFIXES, is_audio, is_wav_name
from common.cli import flag, folders, not_negative, positive
from common.download.hub import find_generator
from common.errors import InputError
from common.files.exports import is_export
from common.files.fingerprints import file_digest
from common.machine.hardware import AMP_FORMATS
from hifigan.config import GeneratorInfo
from hifigan.engine.precisions import ALL_PRECISIONS, PRECISION_HELP
from hifigan.export.formats import FORMATS

STDOUT = "-"  # value of -o
DEFAULT_BATCH_SIZE = 8  # also of voice.Voice, so that both round alike
OTHER_SUFFIXES = {".mp3", ".m4a", ".opus", ".aac", *AUDIO_SUFFIXES} - {".wav"}  # of files that users may expect
OWN_BACKENDS = ("engine", "eager")  # values of --backend for checkpoints


@dataclasses.dataclass(frozen=True)
class InferenceConfig:
    """Input, output and vocoder of a synthesis, and how it is measured."""

    input: str = flag("", "phrase file, or an audio file or folder to resynthesise", short=("-i",), metavar="PATH")
    text: str = flag("", "a text to speak, in place of -i")
    output: str = flag(
        "",
        "directory for wav files, or one wav file (NAME.wav) for one text or clip; with --stream, - sends raw 16-bit "
        "samples to stdout",
        short=("-o",),
        metavar="PATH",
        required=True,
    )
    voice: str = flag(
        "",
        "voice that speaks or resynthesises, a name in pretrained/, a folder or a hub name (org/name); kathleen if no "
        "model is named",
        metavar="NAME|PATH",
    )
    hifigan: str = flag(
        "",
        "generator checkpoint of any public format, a model's folder, a hub name (org/name), or a model of export.py, "
        "in place of --voice",
        metavar="NAME|PATH",
        convert=find_generator,
    )
    backend: str = flag(
        "engine",
        "for a checkpoint, engine (fast) or eager (PyTorch's plain layers); for an exported model, its format; auto "
        "looks at the file. An exported model is a program: run only models that you trust",
        choices=(*OWN_BACKENDS, "auto", *FORMATS),
    )
    precision: str = flag("fp32", PRECISION_HELP, choices=ALL_PRECISIONS)
    hifigan_config: str = flag(
        "", "v1, v2, v3 or a JSON file, for checkpoints without a generator configuration", metavar="NAME|PATH"
    )
    ema: bool = flag(False, "take the generator's moving average of the weights (from training with --ema)")
    dataset_path: str = flag(
        "data/LJSpeech-1.1",
        "directory that the mel and pitch columns are relative to",
        short=("-d",),
        metavar="PATH",
        not_with="text",
    )
    mel_framing: str = flag(
        "auto",
        "framing of mel files: auto reads their audio_config.json, and assumes vocoder without one; with tacotron, the "
        "audio is moved by half a hop to where the original was, unless the generator was fine-tuned on this framing",
        choices=("auto", "vocoder", "tacotron"),
        not_with="fastpitch",
    )
    mel_log: str = flag(
        "auto",
        "logarithm of mel files: auto reads their audio_config.json, and assumes ln without one; log10 is converted",
        choices=("auto", *LOG_BASES),
        not_with="fastpitch",
    )
    cuda: bool = flag(False, "run on the GPU (without it: on the CPU)")
    deterministic: bool = flag(
        False, "equal bits on GPUs too, whenever the same command runs on the same kind of machine; slower there"
    )
    amp: bool = flag(False, f"mixed precision: {AMP_FORMATS}; FastPitch stays in fp32 with --torchscript")
    torchscript: bool = flag(False, "run the models as TorchScript, the vocoder without the engine")
    batch_size: int = flag(
        DEFAULT_BATCH_SIZE,
        "utterances, or pieces of long texts, in one batch",
        short=("-bs",),
        not_with="stream",
        refuse_default=True,
    )
    denoising_strength: float = flag(0.0, "share of the generator's hum that is subtracted; 0.005 to 0.1 is usual")
    fade_out: int = flag(0, "length of the fade-out in frames")
    repeats: int = flag(1, "measured runs of each batch; above 1 implies --overwrite")
    warmup_steps: int = flag(0, "unmeasured runs of the first batch; above 0 implies --overwrite")
    overwrite: bool = flag(False, "make finished outputs of the same job again", not_with=f"output={STDOUT}")
    log_file: str = flag(
        "", "DLLogger file; without it, nvlog_infer.json in the output directory, if -o is one", metavar="PATH"
    )

    def __post_init__(self) -> None:
        if not self.hifigan:
            raise InputError("--hifigan: names no checkpoint")
        if self.is_other_file:
            raise InputError(f"-o: {self.output}: only wav files are written; end its name in .wav, or give a folder")
        if self.output != STDOUT:
            folders(output=str(self.wav_file.parent) if self.wav_file else self.output)
        positive(batch_size=self.batch_size, repeats=self.repeats)
        if self.denoising_strength == math.inf:
            raise InputError("--denoising-strength: is infinite; 0.005 to 0.1 is usual")
        not_negative(denoising_strength=self.denoising_strength, fade_out=self.fade_out, warmup_steps=self.warmup_steps)
        if self.precision != "fp32" and self.amp:
            raise InputError(f"--precision: with --amp it is {AMP_FORMATS}; give only one of them")
        if self.precision != "fp32" and self.runs_eagerly:
            raise InputError("--precision: is for the engine; with --torchscript or --backend eager, use --amp")

        if self.deterministic and self.precision == "auto":
            raise InputError("--deterministic: --precision auto is chosen by a measurement; name a precision")
        if (self.mel_framing, self.mel_log) != ("auto", "auto") and self.input and is_audio(Path(self.input)):
            raise InputError("--mel-framing and --mel-log: have no effect on audio files (-i)")

    @property
    def runs_eagerly(self) -> bool:
        """Run a checkpoint without the engine."""
        return self.torchscript or self.backend == "eager"

    @property
    def redo(self) -> bool:
        """Make finished outputs again. A measurement needs all of them."""
        return self.overwrite or self.repeats > 1 or self.warmup_steps > 0

    @property
    def wav_file(self) -> Path | None:
        """The only file to write, or None if -o is a directory or stdout."""
        path = Path(self.output)
        return path if is_wav_name(path) else None

    @property
    def is_other_file(self) -> bool:
        """Whether -o names a file that is not a wav file."""
        path = Path(self.output)
        return path.suffix.lower() in OTHER_SUFFIXES and not path.is_dir()

    def sound_settings(self, info: GeneratorInfo) -> dict[str, Any]:
        """Return the plain values that affect the sound of all outputs. A model counts by content, not by name."""
        names = ("ema", "amp", "precision", "torchscript", "denoising_strength", "fade_out")
        return {
            **{name: getattr(self, name) for name in names},
            "hifigan": file_digest(self.hifigan),
            "generator": info.config.to_dict(),
            "audio": dataclasses.asdict(info.audio),
        }


def refuse_strength_as_data_set(given: Mapping[str, Any]) -> None:
    """Raise `InputError` for `-d 0.005`, which is the denoiser's strength in the published recipe."""
    path = str(given.get("dataset_path", ""))
    if re.fullmatch(r"[0-9]*\.?[0-9]+(e-?[0-9]+)?", path) and not Path(path).exists():
        raise InputError(f"-d: {path} is not a data set; the denoiser's strength is --denoising-strength {path}")


@dataclasses.dataclass(frozen=True)
class StreamConfig:
    """Size of the chunks, and how far ahead the generator may look."""

    stream: bool = flag(
        False, "make audio in chunks, one utterance after the other, and report the time to the first sample"
    )
    chunk_frames: int = flag(16, "mel frames of a chunk")
    look_ahead: int | None = flag(
        None,
        "future frames to wait for before emitting a frame's audio; without it, all that the generator sees (13 in V1 "
        "and V2), which is exact",
    )

    def __post_init__(self) -> None:
        positive(chunk_frames=self.chunk_frames)
        not_negative(look_ahead=self.look_ahead or 0)

    def sound_settings(self, amp: bool) -> dict[str, Any]:
        """Return the plain values by which the outputs differ from whole-mel outputs."""
        settings: dict[str, Any] = {}
        if amp:  # rounds differently from the engine
            settings["streamed"] = True
        if self.look_ahead is not None:
            settings |= {"look_ahead": self.look_ahead, "chunk_frames": self.chunk_frames}
        return settings


def check_streaming(cfg: InferenceConfig, stream: StreamConfig | None) -> None:
    """Raise `InputError` for flags that need streaming, or cannot be combined with it."""
    if stream is None:
        if cfg.output == STDOUT:
            raise InputError("-o -: samples go to stdout as they are made, so add --stream; else give a directory")
        return
    if cfg.denoising_strength > 0:
        raise InputError("--stream: the denoiser needs whole utterances; remove --denoising-strength")
    if cfg.precision != "fp32":
        raise InputError("--stream: runs in fp32, or with --amp in mixed precision; remove --precision")
    if cfg.torchscript:
        raise InputError("--stream: does not run TorchScript; remove --torchscript")
    if cfg.backend in FORMATS or is_export(Path(cfg.hifigan)):
        raise InputError(
            f"--stream: {cfg.hifigan} is to run as an exported model, which takes whole mels; "
            "give the checkpoint that it was exported from"
        )
