"""Streaming with the engine: each chunk is one call, on a window of the frames that its samples depend on.

`StreamingGenerator` computes each frame once, in hundreds of short operators, which take milliseconds to start. The
engine computes the few frames around a chunk again in less time: on GPUs it replays them with one launch.

Shapes: B batch, M mel bands, L frames, T samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from common.errors import InputError
from hifigan.backend import Backend


class WindowStream:
    """Turns mel chunks into audio like `StreamingGenerator`, with the same samples up to rounding.

    Args:
        backend: runs the generator.
        look_ahead: frames after its own that a frame's audio waits for. None means all that the generator sees.
    """

    def __init__(self, backend: Backend, look_ahead: int | None = None) -> None:
        self._backend = backend
        self._reach = backend.config.receptive_field_frames
        self.look_ahead = self._reach if look_ahead is None else look_ahead
        self._hop_length = backend.config.hop_length
        self.reset()

    def reset(self) -> None:
        """Drop the current utterance. The next chunk begins a new one."""
        self._recent: Tensor | None = None  # the frames that later samples depend on
        self._first = 0  # number of the first of them in the utterance
        self._sent = 0  # frames whose samples have been sent
        self._expected: Tensor | None = None  # prediction of the next samples [B, 1, T], to fade from

    @torch.inference_mode()
    def stream(self, mel: Tensor) -> Tensor:
        """Mel chunk [B, M, L] on the backend's device -> the next samples [B, 1, T], T >= 0.

        After N frames of an utterance, max(0, N - look_ahead) * hop_length samples have been sent.
        """
        self._recent = mel if self._recent is None else torch.cat([self._recent, mel], dim=2)
        due = max(self._sent, self._first + self._recent.size(2) - self.look_ahead)
        if due == self._sent:
            return mel.new_zeros(len(mel), 1, 0)
        missing = self._reach - self.look_ahead
        # One more for the fade. The last frame stands for those that have not arrived.
        future = [self._recent[:, :, -1:].expand(-1, -1, missing + 1)] if missing else []
        wav = self._run(torch.cat([self._recent, *future], dim=2))
        end = (due - self._first) * self._hop_length
        sent = self._faded(wav[:, :, (self._sent - self._first) * self._hop_length : end])
        self._expected = wav[:, :, end : end + self._hop_length // 2].clone() if missing else None
        self._sent = due
        first = max(0, due - self._reach)
        self._recent, self._first = self._recent[:, :, first - self._first :].clone(), first
        return sent

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """Return the remaining samples [B, 1, T] of the utterance. The stream is then ready for the next one.

        Raises:
            InputError: no frame since the last utterance.
        """
        if self._recent is None or self._recent.size(2) == 0:
            raise InputError("streaming: no frames to finish")
        rest = self._faded(self._run(self._recent)[:, :, (self._sent - self._first) * self._hop_length :])
        self.reset()
        return rest

    def _run(self, mel: Tensor) -> Tensor:
        return self._backend.run(mel).unsqueeze(1)

    def _faded(self, wav: Tensor) -> Tensor:
        """Cross-fade the beginning of wav [B, 1, T] from the predicted samples. Return it in memory of its own."""
        if self._expected is None:
            return wav.clone()
        length = min(self._expected.size(2), wav.size(2))
        weight = torch.linspace(0, 1, self._expected.size(2) + 2, device=wav.device)[1 : length + 1]
        faded = torch.lerp(self._expected[:, :, :length], wav[:, :, :length], weight)
        return torch.cat([faded, wav[:, :, length:]], dim=2)
