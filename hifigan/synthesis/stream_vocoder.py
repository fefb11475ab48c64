"""Streaming: mel spectrograms -> waveforms in chunks, as if the mels were still arriving.

Shapes: M mel bands, L frames, T samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from torch import Tensor

from common.errors import InputError
from common.machine.precision import mixed_precision
from common.machine.timing import now_sec
from hifigan.backend import check_mels
from hifigan.generator import Generator
from hifigan.streaming import StreamingGenerator
from hifigan.synthesis.flags import StreamConfig


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
        amp: run the generator in mixed precision.

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
