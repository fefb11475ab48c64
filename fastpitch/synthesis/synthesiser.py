"""Pieces of text -> mel spectrograms, in batches whose items do not affect each other.

Shapes: B batch, S symbols, M mel bands, L frames.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from common.errors import InputError
from common.machine.precision import mixed_precision
from common.machine.pytorch.torchscript import script
from fastpitch.model import FastPitch
from fastpitch.pitch_transform import PitchTransform
from fastpitch.synthesis.pieces import Piece

log = logging.getLogger(__name__)

FAR_DEVIATIONS = 4.0  # of pitch from the voice's mean, in standard deviations


class Synthesiser:
    """FastPitch behind one call for a list of pieces.

    Args:
        model: in evaluation mode. Its pitch transform is set here.
        pace: 2 is twice as fast.
        pitch_transform: applied to the predicted or given pitch.
        torchscript: run the model as TorchScript.
        amp: run it in mixed precision (see `half_precision`), with the last layers in fp32. TorchScript cannot
            leave autocast for these, so with `torchscript` the whole model runs in fp32.
    """

    def __init__(
        self,
        model: FastPitch,
        pace: float = 1.0,
        pitch_transform: PitchTransform | None = None,
        torchscript: bool = False,
        amp: bool = False,
    ) -> None:
        self.device = model.pitch_mean.device
        self._padding = model.padding_idx
        self._pace = pace
        mean_hz, std_hz = model.pitch_statistics()
        self._mean_hz, self._std_hz = mean_hz.cpu(), std_hz.cpu()
        model.pitch_transform = pitch_transform
        self._check_texts = model.check_texts
        self._model: Any = script(model) if torchscript else model
        self._amp = amp and not torchscript
        self._voice_statistics = model.voice_statistics
        self._checks_pitch = pitch_transform is not None  # until a piece leaves the voice's range

    @torch.inference_mode()
    def __call__(self, pieces: Sequence[Piece]) -> list[Tensor]:
        """Return the mel [M, L_i], L_i >= 1, of each piece, as if alone in the batch.

        Raises:
            InputError: weights or a pitch formula that result in values that are not finite.
        """
        ids = pad_sequence([torch.tensor(piece.ids) for piece in pieces], True, self._padding)
        speaker = torch.tensor([piece.speaker for piece in pieces])
        self._check_texts(ids, speaker)
        pitch = self._pitch(pieces, ids.size(1))
        ids, speaker = ids.to(self.device, non_blocking=True), speaker.to(self.device, non_blocking=True)
        try:
            with mixed_precision(self.device, self._amp):
                plan = self._model.plan(ids, self._pace, speaker, pitch)
                # One copy from the device, the only time that the CPU waits for it.
                finite, *lengths = torch.cat([plan.durations.isfinite().all().view(1), plan.mel_lens]).tolist()
                if not finite:
                    raise InputError("FastPitch: the durations are not finite numbers; the checkpoint is damaged")
                # If every duration is rounded to zero, keep one silent frame, which the vocoder needs.
                lengths = [max(1, length) for length in lengths]
                mels = self._model.decode(plan.x, plan.frames, plan.mel_lens, max(lengths))
        except torch.jit.Error as error:  # raised by TorchScript, with the original error in the last line
            message = str(error).strip().splitlines()[-1].partition("InputError: ")[2]
            if not message:
                raise
            raise InputError(message) from error
        if self._checks_pitch:
            self._warn_about_pitch(plan.pitch.squeeze(1), ids != self._padding, speaker)
        return [mel[:, :length] for mel, length in zip(mels, lengths, strict=True)]

    def _warn_about_pitch(self, pitch: Tensor, mask: Tensor, speaker: Tensor) -> None:
        """Warn once if the pitch flags lead below 0 Hz, or far from what the voice was trained on.

        Args:
            pitch: [B, S] in standard deviations from the model's mean.
            mask: [B, S].
            speaker: [B].
        """
        hz = (pitch.float().cpu() * self._std_hz + self._mean_hz)[mask.cpu()]
        mean_hz, std_hz = (value.cpu() for value in self._voice_statistics(speaker))
        lowest, highest = (mean_hz - FAR_DEVIATIONS * std_hz).min(), (mean_hz + FAR_DEVIATIONS * std_hz).max()
        if hz.min() < max(0.0, float(lowest)) or hz.max() > highest:
            log.warning(
                "the pitch flags lead to %.0f to %.0f Hz; the voice was trained on about %.0f to %.0f Hz, and sounds "
                "unnatural far from it",
                hz.min(),
                hz.max(),
                max(0.0, float(lowest)),
                highest,
            )
            self._checks_pitch = False

    def _pitch(self, pieces: Sequence[Piece], num_symbols: int) -> Tensor | None:
        """Return the given pitch [B, 1, S] in standard deviations, NaN where it is to be predicted."""
        if all(piece.pitch_hz is None for piece in pieces):
            return None
        pitch = torch.full((len(pieces), 1, num_symbols), torch.nan)
        for row, piece in zip(pitch, pieces, strict=True):
            if piece.pitch_hz is not None:
                hz = piece.pitch_hz
                row[0, : len(hz)] = ((hz - self._mean_hz) / self._std_hz).masked_fill(hz == 0, 0.0)
        return pitch.to(self.device, non_blocking=True)
