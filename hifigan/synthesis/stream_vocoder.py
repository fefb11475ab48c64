"""Streaming: mel spectrograms -> waveforms in chunks, as if the mels were still arriving.

Shapes: M mel bands, L frames, T samples.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator

from torch import Tensor

from common.errors import InputError
from common.machine.hardware import half_precision
from common.machine.precision import mixed_precision
from common.machine.timing import now_sec
from hifigan.backend import check_mels
from hifigan.engine.select import engine_backend, is_fastest_in_windows
from hifigan.engine.transfers import on_device, start_to_host, to_device, wait
from hifigan.generator import Generator
from hifigan.streaming import StreamingGenerator
from hifigan.synthesis.flags import StreamConfig
from hifigan.synthesis.vocoder import Vocoder
from hifigan.synthesis.window_stream import WindowStream

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Audio [T] in [-1, 1] on the CPU, T >= 0, and the time that the generator took."""

    wav: Tensor
    took_sec: float


class StreamVocoder:
    """`WindowStream`, or `StreamingGenerator` where that is faster, behind one call for a mel.

    A generator that pads by reflection needs the whole utterance, whose audio then comes in chunks.

    Args:
        generator: in evaluation mode, weight norm removed.
        cfg: size of the chunks and look-ahead.
        amp: run the generator in the device's 16-bit format, most of it.
        eager: run PyTorch's layers one by one, not the engine.

    Raises:
        InputError: a look-ahead above the generator's own.
    """

    def __init__(self, generator: Generator, cfg: StreamConfig, amp: bool = False, eager: bool = False) -> None:
        exact = generator.config.receptive_field_frames
        if cfg.look_ahead is not None and cfg.look_ahead > exact:
            raise InputError(f"--look-ahead: {cfg.look_ahead} is above {exact} frames, all that this generator sees")
        self.device = generator.device
        self._num_mels = generator.num_mels
        self._hop_length = generator.config.hop_length
        self._chunk_frames = cfg.chunk_frames
        self._amp = amp
        self._whole: Vocoder | None = None
        if generator.config.padding != "zeros":
            log.info("--stream: this generator pads by reflection, so it runs on whole utterances")
            self._whole = Vocoder(generator)
        elif not eager and is_fastest_in_windows(generator, cfg.chunk_frames):
            precision = half_precision(self.device) if amp else "fp32"
            self._streaming: StreamingGenerator | WindowStream = WindowStream(
                engine_backend(generator, precision), cfg.look_ahead
            )
            self._amp = False  # the engine rounds by itself
        else:
            self._streaming = StreamingGenerator(generator, cfg.look_ahead)

    def __call__(self, mel: Tensor) -> Iterator[Chunk]:
        """Mel [M, L] -> its audio, L * hop samples in all: one chunk of audio per chunk of frames, and one at the end.

        Raises:
            InputError: a mel of another shape or type, or with values that are not finite.
        """
        check_mels([mel], self._num_mels)
        if self._whole is not None:
            began = now_sec(self.device)
            wav = self._whole([mel])[0]
            took = now_sec(self.device) - began
            for number, part in enumerate(wav.split(self._chunk_frames * self._hop_length)):
                yield Chunk(part, took if number == 0 else 0.0)
            return
        self._streaming.reset()  # the previous utterance may have been interrupted
        for frames in mel[None].split(self._chunk_frames, dim=2):
            yield self._chunk(frames)
        yield self._chunk(None)

    def _chunk(self, frames: Tensor | None) -> Chunk:
        """Push the next frames [1, M, L], or None at the end, and return the samples that became final."""
        began = time.perf_counter()  # the previous chunk has left no work
        with on_device(self.device), mixed_precision(self.device, self._amp):
            if frames is None:
                wav = self._streaming.finish()
            else:
                wav = self._streaming.stream(to_device(frames, self.device))
            wav = start_to_host(wav[0, 0])
            wait(self.device)
        return Chunk(wav, time.perf_counter() - began)
