"""Mel spectrograms of different lengths -> waveforms, in batches that do not mix.

Shapes: B batch, M mel bands, L frames, T samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from common.audio import SILENCE
from common.errors import InputError
from hifigan.backend import Backend, check_mels
from hifigan.denoiser import Denoiser
from hifigan.engine.select import engine_backend
from hifigan.generator import Generator
from hifigan.windows import Window, windows

# Mel frames of a window, and of what one call of the generator is given, padding included. V1 takes 0.3 to 0.5 MB for
# each. One CPU thread is fastest while the activations fit its cache: V1, V2 and V3 took 1.2 to 2.7 times as long for
# 4096 to 5600 frames at once, in a batch or not, and the 26 frames by which windows overlap are 5 % of 512. So there,
# every window has a call of its own, which also rounds exactly as for the clip alone. GPUs want much work at once.
CPU_WINDOW_FRAMES = 512
GPU_WINDOW_FRAMES = 4096
GPU_BATCH_FRAMES = 8192


class Vocoder:
    """Generator and denoiser behind one call for a list of mels.

    Mels may be of any length: what a call of the generator is given is bounded, and so is its memory. Longer mels are
    cut into windows that overlap as far as the generator sees, so that their joined audio is that of the whole.

    Args:
        generator: in evaluation mode, weight norm removed, to be run by the engine in fp32; or what runs it.
        denoising_strength: of the `Denoiser`; 0 leaves it out.
        filter_length: FFT size of the denoiser, in samples.
        window_frames: longest mel in one call; at least four times what the generator sees to one side. Without it,
            as is best for the device.
        batch_frames: frames of several mels in one call, padding included; 0 runs each alone. Without it, likewise.

    Raises:
        InputError: `denoising_strength` for an exported generator that denoises already.
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
            # Its transform goes there and back, half a filter length each; the shortest mel is longer than that.
            self._context += 2 * self._backend.min_frames
            self._batch_frames = 0  # ends cannot be mended after the transform, so nothing may be padded
        size = window_frames or self._backend.window_frames or (GPU_WINDOW_FRAMES if on_gpu else CPU_WINDOW_FRAMES)
        self._window_frames = max(size, 4 * self._context)

    @torch.inference_mode()
    def __call__(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """Mels [M, L_i] -> waveforms [L_i * hop] in [-1, 1] on the CPU, each as if it had been alone in the batch.

        Raises:
            InputError: a mel of another shape or type, or with values that are not finite.
        """
        check_mels(mels, self.config.num_mels)
        wavs = self._joined(mels)
        if self.denoiser is not None:
            # One by one: the transform reflects at the ends, where padding would be heard.
            wavs = [self._denoised(wav) for wav in wavs]
        return [wav.cpu() for wav in wavs]

    def _joined(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """The waveforms [L_i * hop] on the device, window by window."""
        hop = self.config.hop_length
        wavs = [torch.empty(mel.size(1) * hop, device=self.device) for mel in mels]
        pieces = [
            (clip, window)
            for clip, mel in enumerate(mels)
            for window in windows(mel.size(1), self._window_frames, self._context)
        ]
        for call in self._calls(pieces):
            made = self._together([mels[clip][:, window.first : window.last] for clip, window in call])
            for (clip, window), wav in zip(call, made, strict=True):
                kept = wav[(window.start - window.first) * hop : (window.end - window.first) * hop]
                wavs[clip][window.start * hop : window.end * hop] = kept
        return wavs

    def _calls(self, pieces: Sequence[tuple[int, Window]]) -> list[list[tuple[int, Window]]]:
        """Windows of clips, those together that go into one call."""
        calls: list[list[tuple[int, Window]]] = []
        longest = 0
        for clip, window in pieces:
            frames = window.last - window.first
            longest = max(longest, frames)
            if not calls or (len(calls[-1]) + 1) * longest > self._batch_frames:
                calls.append([])
                longest = frames
            calls[-1].append((clip, window))
        return calls

    def _together(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """Mels [M, L_i] in one call -> waveforms [L_i * hop], each as if alone.

        A single mel that is too short for the transform of a denoiser inside gets silence behind it, and is cut.
        """
        lengths = [mel.size(1) for mel in mels]
        step = self._backend.frame_step
        padded = max(-(-max(lengths) // step) * step, self._backend.min_frames)
        wavs = self._backend.run(_pad_with_silence(mels, padded).to(self.device))
        trimmed = [wav[: length * self.config.hop_length] for wav, length in zip(wavs, lengths, strict=True)]
        if self._backend.denoising_strength == 0:
            self._mend_ends(mels, trimmed, padded)
        return trimmed

    def _denoised(self, wav: Tensor) -> Tensor:
        assert self.denoiser is not None
        # A clip of one or two frames is too short for the transform to reflect; there is no hum to hear in it.
        return self.denoiser(wav[None], self.strength)[0] if len(wav) > self.denoiser.filter_length // 2 else wav

    def _mend_ends(self, mels: Sequence[Tensor], wavs: list[Tensor], padded: int) -> None:
        """Makes the ends of padded clips what they are without padding.

        Beyond its end a clip alone meets the zeros that convolutions pad with, in a batch the frames of silence.
        Only the last frames notice (`receptive_field_frames`): they are made again from the clip's own tail.
        """
        reach = self.config.receptive_field_frames
        # A whole clip that is shorter than its tail is made again alone, as its beginning is at the edge as well.
        tails: dict[int, list[int]] = {}
        for i, mel in enumerate(mels):
            if mel.size(1) < padded:
                tails.setdefault(min(mel.size(1), 2 * reach), []).append(i)
        for frames, clips in tails.items():
            batch = torch.stack([mels[i][:, -frames:] for i in clips]).to(self.device)
            samples = (reach if frames == 2 * reach else frames) * self.config.hop_length
            for i, tail in zip(clips, self._backend.run(batch), strict=True):
                wavs[i][-samples:] = tail[-samples:]


def _pad_with_silence(mels: Sequence[Tensor], frames: int) -> Tensor:
    """[M, L_i] -> [B, M, frames]; zero would be a loud frame."""
    batch = mels[0].new_full((len(mels), mels[0].size(0), frames), SILENCE)
    for row, mel in zip(batch, mels, strict=True):
        row[:, : mel.size(1)] = mel
    return batch
