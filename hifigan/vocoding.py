"""Mel spectrograms of different lengths -> waveforms, in batches that do not mix.

Shapes: B batch, M mel bands, L frames, T samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from common.audio import SILENCE
from common.errors import InputError
from hifigan.backends import Backend, check_mels, eager_backend
from hifigan.denoiser import Denoiser
from hifigan.generator import Generator


class Vocoder:
    """Generator and denoiser behind one call for a list of mels.

    Args:
        generator: in evaluation mode, weight norm removed; or an exported one.
        denoising_strength: of the `Denoiser`; 0 leaves it out.
        torchscript: run the generator as TorchScript; exported ones are what they are.
        amp: run it in mixed precision (fp16 on GPUs, bf16 on CPUs); likewise.
        filter_length: FFT size of the denoiser, in samples.

    Raises:
        InputError: `denoising_strength` for an exported generator that denoises already.
    """

    def __init__(
        self,
        generator: Generator | Backend,
        denoising_strength: float = 0.0,
        torchscript: bool = False,
        amp: bool = False,
        filter_length: int = 1024,
    ) -> None:
        self.config = generator.config
        self.device = generator.device
        self.strength = denoising_strength
        self._backend = generator if isinstance(generator, Backend) else eager_backend(generator, torchscript, amp)
        if denoising_strength > 0 and self._backend.denoising_strength > 0:
            raise InputError(
                f"--denoising-strength: the exported model has a denoiser inside ({self._backend.denoising_strength})"
            )
        self.denoiser = Denoiser(generator, filter_length) if denoising_strength > 0 else None

    @torch.inference_mode()
    def __call__(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """Mels [M, L_i] -> waveforms [L_i * hop] in [-1, 1] on the CPU, each as if it had been alone in the batch.

        Raises:
            InputError: a mel of another shape or type, or with values that are not finite.
        """
        check_mels(mels, self.config.num_mels)
        if self._backend.denoising_strength > 0:
            return [self._alone(mel).cpu() for mel in mels]
        lengths = [mel.size(1) for mel in mels]
        wavs = self._backend.run(_pad_with_silence(mels).to(self.device))
        trimmed = [wav[: length * self.config.hop_length] for wav, length in zip(wavs, lengths, strict=True)]
        self._mend_ends(mels, trimmed, max(lengths))
        if self.denoiser is not None:
            # One by one: the transform reflects at the ends, where padding would be heard.
            trimmed = [self._denoised(wav) for wav in trimmed]
        return [wav.cpu() for wav in trimmed]

    def _alone(self, mel: Tensor) -> Tensor:
        """A clip through a backend that denoises: its ends cannot be mended after the transform, so nothing is padded.

        Only a clip too short for the transform gets silence behind it, and is cut.
        """
        silence = mel.new_full((mel.size(0), max(0, self._backend.min_frames - mel.size(1))), SILENCE)
        wav = self._backend.run(torch.cat([mel, silence], dim=1)[None].to(self.device))[0]
        return wav[: mel.size(1) * self.config.hop_length]

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


def _pad_with_silence(mels: Sequence[Tensor]) -> Tensor:
    """[M, L_i] -> [B, M, max L]; zero would be a loud frame."""
    longest = max(mel.size(1) for mel in mels)
    batch = mels[0].new_full((len(mels), mels[0].size(0), longest), SILENCE)
    for row, mel in zip(batch, mels, strict=True):
        row[:, : mel.size(1)] = mel
    return batch
