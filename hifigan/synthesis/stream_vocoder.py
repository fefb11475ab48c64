"""Mel spectrograms -> waveforms in chunks, as if the mels were still arriving; and the flags for it.

Shapes: M mel bands, L frames, T samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from torch import Tensor

from common.cli import flag, not_negative, positive
from common.errors import InputError
from common.machine.precision import mixed_precision
from common.machine.timing import now_sec
from hifigan.backend import check_mels
from hifigan.generator import Generator
from hifigan.streaming import StreamingGenerator


@dataclasses.dataclass(frozen=True)
class StreamConfig:
    """Whether and how audio is made in chunks."""

    stream: bool = flag(
        False, "make the audio in chunks, one utterance after the other, and tell the time to the first sample"
    )
    chunk_frames: int = flag(16, "mel frames that are pushed at a time")
    look_ahead: int | None = flag(
        None,
        "frames after its own that a frame's audio waits for; without it, all that the generator sees (13 in V1 and "
        "V2), and the audio is exact",
    )

    def __post_init__(self) -> None:
        positive(chunk_frames=self.chunk_frames)
        not_negative(look_ahead=self.look_ahead or 0)


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Audio [T] in [-1, 1] on the CPU, T from 0 on, and how long the generator took for it."""

    wav: Tensor
    took_sec: float


class StreamVocoder:
    """`StreamingGenerator` behind one call for a mel.

    Args:
        generator: in evaluation mode, weight norm removed.
        cfg: size of the chunks and look-ahead.
        amp: run it in mixed precision (fp16 on GPUs, bf16 on CPUs).

    Raises:
        InputError: a longer look-ahead than the generator's own.
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
        """Mel [M, L] -> its audio, L * hop samples in all: a chunk for each chunk of frames, and one for the end.

        Raises:
            InputError: a mel of another shape or type, or with values that are not finite.
        """
        check_mels([mel], self._num_mels)
        self._streaming.reset()  # the utterance before may have been left in the middle
        for frames in mel[None].split(self._chunk_frames, dim=2):
            yield self._chunk(frames)
        yield self._chunk(None)

    def _chunk(self, frames: Tensor | None) -> Chunk:
        """The next frames [1, M, L], None at the end, -> what they make final."""
        began = now_sec(self.device)
        with mixed_precision(self.device, self._amp):
            wav = self._streaming.finish() if frames is None else self._streaming.stream(frames.to(self.device))
        wav = wav[0, 0].cpu()
        return Chunk(wav, now_sec(self.device) - began)
