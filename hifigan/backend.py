"""Mel spectrogram -> waveform behind one call, whatever runs it, and the checks of its input.

Shapes: B batch, M mel bands, L frames, T = L * hop samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from common.errors import InputError
from common.machine.precision import mixed_precision
from common.machine.pytorch import torchscript
from hifigan.config import GeneratorConfig
from hifigan.generator import Generator

Run = Callable[..., Tensor]


class Backend:
    """Mel [B, M, L] -> wav [B, T], whatever runs the generator.

    Args:
        run: maps float32 mels of the right shape on `device` to waveforms on `device`, valid until its next call.
        config: architecture of the generator.
        device: where `run` runs.
        denoising_strength: above 0, `run` includes the denoiser. Utterances must then come whole and without padding.
        min_frames: frames of the shortest mel that `run` takes. A denoiser inside and reflection need more than one.
        frame_step: `run` is fastest for multiples of this number of frames.
        window_frames: frames of the longest mel to give to `run` at once, or None for the default of the device.
        masks_padding: `run` also takes the frames of each utterance, [B], int32, on `device`. What follows an utterance
            then does not affect its samples.
        reuses_memory: the next call of `run` overwrites the waveforms.
    """

    def __init__(
        self,
        run: Run,
        config: GeneratorConfig,
        device: torch.device,
        denoising_strength: float = 0.0,
        min_frames: int = 1,
        frame_step: int = 1,
        window_frames: int | None = None,
        masks_padding: bool = False,
        reuses_memory: bool = False,
    ) -> None:
        self.run = run
        self.config = config
        self.device = device
        self.denoising_strength = denoising_strength
        self.min_frames = min_frames
        self.frame_step = frame_step
        self.window_frames = window_frames
        self.masks_padding = masks_padding
        self.reuses_memory = reuses_memory

    @torch.inference_mode()
    def __call__(self, mel: Tensor) -> Tensor:
        """mel [B, M, L], float32, L >= `min_frames` -> wav [B, T], float32, in [-1, 1].

        Raises:
            InputError: another shape or type, too short, or values that are not finite.
        """
        if mel.dim() != 3:
            raise InputError(f"mel: expected shape [batch, {self.config.num_mels}, frames], got {list(mel.shape)}")
        check_mels(list(mel), self.config.num_mels)
        if mel.size(2) < self.min_frames:
            raise InputError(f"mel: {mel.size(2)} frames are too few for this model, give {self.min_frames}")
        wav = self.run(mel.to(self.device))
        return wav.clone() if self.reuses_memory else wav


def check_mels(mels: Sequence[Tensor], num_mels: int, min_frames: int = 1) -> None:
    """Raise `InputError`, with the remedy, unless all mels are float32 [M, L] of finite values, L >= `min_frames`.

    Of mels on a GPU, it waits for the values.
    """
    check_shapes(mels, num_mels, min_frames)
    check_finite(all_finite(mels))


def all_finite(mels: Sequence[Tensor]) -> Tensor:
    """Return whether all values are finite, as a tensor on their device, for `check_finite`."""
    # NaN is not equal to 0. This takes two kernels per mel, and `isfinite` eight.
    return (torch.stack([(mel * 0).sum() for mel in mels]) == 0).all()


def check_finite(finite: Tensor) -> None:
    """Raise `InputError` unless `all_finite` found that all values are finite."""
    if not finite:
        raise InputError("mel: it has values that are not finite numbers (NaN or infinite)")


def check_shapes(mels: Sequence[Tensor], num_mels: int, min_frames: int = 1) -> None:
    """Do the part of `check_mels` that does not need the values."""
    if not mels:
        raise InputError("mel: the batch is empty")
    for mel in mels:
        shape = list(mel.shape)
        if mel.dim() != 2:
            raise InputError(f"mel: expected shape [{num_mels}, frames], got {shape}")
        if mel.size(0) != num_mels:
            hint = "transpose it" if mel.size(1) == num_mels else f"this model takes {num_mels} bands"
            raise InputError(f"mel: expected shape [{num_mels}, frames], got {shape}; {hint}")
        if mel.size(1) < min_frames:
            raise InputError(f"mel: it is empty, {shape}")
        if mel.dtype != torch.float32:
            raise InputError(f"mel: it is {str(mel.dtype).removeprefix('torch.')}; convert it to float32")


def eager_backend(generator: Generator, scripted: bool = False, amp: bool = False) -> Backend:
    """Run the generator itself, optionally as TorchScript or in mixed precision (see `half_precision`)."""
    device = generator.device
    model: Any = torchscript.script(generator) if scripted else generator

    def run(mel: Tensor) -> Tensor:
        x = model.upsampled(mel)
        with mixed_precision(device, amp):
            hidden = model.refined(x)
        return model.output(hidden.float()).squeeze(1)  # TorchScript cannot leave autocast by itself

    return Backend(run, generator.config, device, min_frames=generator.config.min_frames)
