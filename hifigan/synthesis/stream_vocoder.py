"""Streaming: mel spectrograms -> waveforms in chunks, as if the mels were still arriving, and its flags.

Shapes: M mel bands, L frames, T samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from common.cli import flag, not_negative, positive
from common.errors import InputError
from common.files.exports import is_export
from common.machine.precision import mixed_precision
from common.machine.timing import now_sec
from hifigan.backend import check_mels
from hifigan.export.formats import FORMATS
from hifigan.generator import Generator
from hifigan.streaming import StreamingGenerator
from hifigan.synthesis.flags import STDOUT, InferenceConfig


@dataclasses.dataclass(frozen=True)
class StreamConfig:
    """Size of the chunks, and how far ahead the generator may look."""

    stream: bool = flag(
        False, "make audio in chunks, one utterance after the other, and report the time to the first sample"
    )
    chunk_frames: int = flag(16, "mel frames of a chunk")
    look_ahead: int | None = flag(
        None,
        "frames after its own that a frame's audio waits for; without it, all that the generator sees (13 in V1 and "
        "V2), which is exact",
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
        raise InputError("--stream: runs the layers one by one, not as TorchScript; remove --torchscript")
    if cfg.backend in FORMATS or is_export(Path(cfg.hifigan)):
        raise InputError(
            f"--stream: {cfg.hifigan} is to run as an exported model, which takes whole mels; "
            "give the checkpoint that it was exported from"
        )


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Audio [T] in [-1, 1] on the CPU, T >= 0, and the time that the generator took."""

    wav: Tensor
    took_sec: float


class StreamVocoder:
    """`StreamingGenerator` behind one call for a mel.

    Args:
        generator: in evaluation mode, weight norm removed.
        cfg: size of the chunks and look-ahead.
        amp: run the generator in mixed precision (fp16 on GPUs, bf16 on CPUs).

    Raises:
        InputError: a look-ahead above the generator's own.
    """

    def __init__(self, generator: Generator, cfg: StreamConfig, amp: bool = False) -> None:
        exact = generator.config.receptive_field_frames
        if cfg.look_ahead is not None and cfg.look_ahead > exact:
            raise InputError(f"--look-ahead: {cfg.look_ahead} is above {exact} frames, all that this generator sees")
        self.device = generator.device
        self._num_mels = generator.num_mels
        self._chunk_frames = cfg.chunk_frames
        self._amp = amp
        self._streaming = StreamingGenerator(generator, cfg.look_ahead)

    def __call__(self, mel: Tensor) -> Iterator[Chunk]:
        """Mel [M, L] -> its audio, L * hop samples in all: one chunk of audio per chunk of frames, and one at the end.

        Raises:
            InputError: a mel of another shape or type, or with values that are not finite.
        """
        check_mels([mel], self._num_mels)
        self._streaming.reset()  # the previous utterance may have been interrupted
        for frames in mel[None].split(self._chunk_frames, dim=2):
            yield self._chunk(frames)
        yield self._chunk(None)

    def _chunk(self, frames: Tensor | None) -> Chunk:
        """Push the next frames [1, M, L], or None at the end, and return the samples that became final."""
        began = now_sec(self.device)
        with mixed_precision(self.device, self._amp):
            wav = self._streaming.finish() if frames is None else self._streaming.stream(frames.to(self.device))
        wav = wav[0, 0].cpu()
        return Chunk(wav, now_sec(self.device) - began)
