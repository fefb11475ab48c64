"""Mel spectrograms of different lengths -> waveforms, in batches whose items do not affect each other.

Shapes: B batch, M mel bands, L frames, T samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from common.audio import SILENCE
from common.errors import InputError
from hifigan.backend import Backend, all_finite, check_finite, check_shapes
from hifigan.denoiser import Denoiser
from hifigan.engine.select import engine_backend
from hifigan.engine.transfers import on_device, pinned, start_to_host, to_device, wait
from hifigan.generator import Generator
from hifigan.windows import Window, windows

# Mel frames of a window, and of one call of the generator, padding included. V1 takes 0.3 to 0.5 MB per frame. A CPU
# thread is fastest while the activations fit its cache: V1, V2 and V3 took 1.2 to 2.7 times as long with 4096 to 5600
# frames at once, in a batch or not. Windows of 512 frames overlap by 26, which costs 5 %. So on the CPU each window is
# a call of its own, which also rounds exactly as for the utterance alone. GPUs need much work at once.
EAGER_CPU_WINDOW_FRAMES = 512
GPU_WINDOW_FRAMES = 4096
GPU_BATCH_FRAMES = 8192


class Vocoder:
    """Generator and denoiser behind one call for a list of mels.

    Mels may have any length: a call of the generator gets a bounded number of frames, which bounds the memory. Longer
    mels are cut into windows that overlap by the receptive field, so that the joined audio is the same.

    Args:
        generator: in evaluation mode, weight norm removed, to run in the fp32 engine, or the backend that runs it.
        denoising_strength: strength of the `Denoiser`, 0 for none.
        filter_length: FFT size of the denoiser, in samples.
        window_frames: longest mel in one call, at least four times the receptive field to one side. None chooses by
            device.
        batch_frames: most frames of several mels in one call, padding included. 0 runs each mel alone, None chooses by
            device.

    Raises:
        InputError: `denoising_strength` for an exported generator that has a denoiser inside.
    """

    def __init__(
        self,
        generator: Generator | Backend,
        denoising_strength: float = 0.0,
        filter_length: int = 1024,
        window_frames: int | None = None,
        batch_frames: int | None = None,
    ) -> None:
        self.config = generator.config
        self.device = generator.device
        self.strength = denoising_strength
        self._backend = generator if isinstance(generator, Backend) else engine_backend(generator)
        if denoising_strength > 0 and self._backend.denoising_strength > 0:
            raise InputError(
                f"--denoising-strength: the exported model has a denoiser inside ({self._backend.denoising_strength})"
            )
        self.denoiser = Denoiser(generator, filter_length) if denoising_strength > 0 else None
        on_gpu = self.device.type == "cuda"
        self._context = self.config.receptive_field_frames
        self._batch_frames = (GPU_BATCH_FRAMES if on_gpu else 0) if batch_frames is None else batch_frames
        if self._backend.denoising_strength > 0:
            # Transform and inverse reach half a filter length each. `min_frames` frames are longer than that.
            self._context += 2 * self._backend.min_frames
            self._batch_frames = 0  # ends cannot be recomputed after the transform, so nothing may be padded
        size = (
            window_frames or self._backend.window_frames or (GPU_WINDOW_FRAMES if on_gpu else EAGER_CPU_WINDOW_FRAMES)
        )
        self._window_frames = max(size, 4 * self._context)

    @torch.inference_mode()
    def __call__(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """Mels [M, L_i] -> waveforms [T_i] in [-1, 1] on the CPU, each as if alone in the batch.

        T_i is L_i * hop, and more for architectures with `GeneratorConfig.surplus_samples`.

        Raises:
            InputError: a mel of another shape or type, or with values that are not finite.
        """
        check_shapes(mels, self.config.num_mels)
        finite = all_finite(mels)
        if finite.device.type == "cpu":
            check_finite(finite)
        with on_device(self.device):
            wavs = self._by_windows(mels)
            if self.denoiser is not None:
                # One by one, since the transform reflects the ends, where padding would be audible.
                wavs = [start_to_host(self._denoised(wav)) for wav in wavs]
            finite = start_to_host(finite)
            wait(self.device)
        check_finite(finite)  # of mels on a GPU, known only now
        return wavs

    def _by_windows(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """Compute the waveforms, window by window, on the device for the denoiser, else in the CPU's memory.

        Copies from a GPU are only started.
        """
        hop, surplus = self.config.hop_length, self.config.surplus_samples
        wavs = [self._empty(mel.size(1) * hop + surplus) for mel in mels]
        pieces = [
            (item, window)
            for item, mel in enumerate(mels)
            for window in windows(mel.size(1), self._window_frames, self._context)
        ]
        for call in self._calls(pieces):
            made = self._call([mels[item][:, window.first : window.last] for item, window in call])
            for (item, window), wav in zip(call, made, strict=True):
                end = window.end * hop + (surplus if window.end == mels[item].size(1) else 0)
                kept = wav[(window.start - window.first) * hop : end - window.first * hop]
                wavs[item][window.start * hop : end].copy_(kept, non_blocking=True)
        return wavs

    def _empty(self, samples: int) -> Tensor:
        if self.denoiser is None and self.device.type == "cuda":
            return pinned([samples])
        return torch.empty(samples, device=self.device)

    def _calls(self, pieces: Sequence[tuple[int, Window]]) -> list[list[tuple[int, Window]]]:
        """Group windows into calls of the generator."""
        calls: list[list[tuple[int, Window]]] = []
        longest = 0
        for item, window in pieces:
            frames = window.last - window.first
            longest = max(longest, frames)
            if not calls or (len(calls[-1]) + 1) * longest > self._batch_frames:
                calls.append([])
                longest = frames
            calls[-1].append((item, window))
        return calls

    def _call(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """Mels [M, L_i] in one call -> waveforms, each as if alone.

        A mel that is too short for a denoiser inside, or to be reflected, is padded with silence, and its audio is
        trimmed.
        """
        lengths = [mel.size(1) for mel in mels]
        step = self._backend.frame_step
        padded = max(-(-max(lengths) // step) * step, self._backend.min_frames)
        batch = to_device(_pad_with_silence(mels, padded), self.device)
        if self._backend.masks_padding:
            # What is too short to be reflected counts as a whole with its silence.
            counted = [max(length, self._backend.min_frames) for length in lengths]
            made = self._backend.run(batch, to_device(torch.tensor(counted, dtype=torch.int32), self.device))
            return self._trimmed(made, lengths)
        made = self._backend.run(batch)
        if self._backend.denoising_strength > 0 or min(lengths) == padded:
            return self._trimmed(made, lengths)
        trimmed = self._trimmed(made.clone() if self._backend.reuses_memory else made, lengths)
        self._recompute_ends(mels, trimmed, padded)
        return trimmed

    def _trimmed(self, wavs: Tensor, lengths: Sequence[int]) -> list[Tensor]:
        return [wav[: self.config.num_samples(length)] for wav, length in zip(wavs, lengths, strict=True)]

    def _denoised(self, wav: Tensor) -> Tensor:
        assert self.denoiser is not None
        # One or two frames are too short for the transform to reflect, and too short for an audible hum.
        return self.denoiser(wav[None], self.strength)[0] if len(wav) > self.denoiser.filter_length // 2 else wav

    def _recompute_ends(self, mels: Sequence[Tensor], wavs: list[Tensor], padded: int) -> None:
        """Recompute the ends of padded utterances, so that they equal those without padding.

        After its end, an utterance alone has the zeros that convolutions pad with, but in a batch frames of silence.
        This affects only the last `receptive_field_frames` frames, which are computed again from the tail.
        """
        reach = self.config.receptive_field_frames
        # An utterance shorter than its tail is computed again as a whole, since its beginning is at the edge as well.
        tails: dict[int, list[int]] = {}
        for i, mel in enumerate(mels):
            if self.config.min_frames <= mel.size(1) < padded:
                tails.setdefault(min(mel.size(1), 2 * reach), []).append(i)
        for frames, items in tails.items():
            batch = to_device(torch.stack([mels[i][:, -frames:] for i in items]), self.device)
            kept = reach if frames == 2 * reach else frames
            samples = kept * self.config.hop_length + self.config.surplus_samples
            for i, tail in zip(items, self._backend.run(batch), strict=True):
                wavs[i][-samples:] = tail[-samples:]


def _pad_with_silence(mels: Sequence[Tensor], frames: int) -> Tensor:
    """Stack mels [M, L_i] to [B, M, frames]. Zero padding would be loud."""
    batch = mels[0].new_full((len(mels), mels[0].size(0), frames), SILENCE)
    for row, mel in zip(batch, mels, strict=True):
        row[:, : mel.size(1)] = mel
    return batch
