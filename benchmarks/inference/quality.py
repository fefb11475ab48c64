"""The quality gate: is a faster way of computing a generator still the generator, on real speech?

Shapes: M mel bands, L frames, T samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.audio import AudioConfig, MelSpectrogram
from common.audio_files import load_wav_at, normalise_peak
from common.errors import InputError

MIN_SNR_DB = 35.0  # mean over clips, against eager fp32
MAX_MEL_CHANGE_PERCENT = 0.5
Run = Callable[[Tensor], Tensor]


@dataclasses.dataclass(frozen=True)
class Quality:
    """Of one way of computing, over several clips.

    Attributes:
        snr_db: energy of the reference's samples over that of the differences, in dB, mean over clips; None where
            there is no difference.
        lowest_snr_db: that of the worst clip.
        mel_loss: L1 distance of the log-mels (up to the Nyquist frequency) to those of the recordings, mean over clips.
        mel_change_percent: by how much that is above the reference's.
    """

    snr_db: float | None
    lowest_snr_db: float | None
    mel_loss: float
    mel_change_percent: float

    @property
    def passes(self) -> bool:
        close = self.snr_db is None or self.snr_db >= MIN_SNR_DB
        return close and abs(self.mel_change_percent) <= MAX_MEL_CHANGE_PERCENT


def read_clips(folder: Path, clips: int, seconds: float, sampling_rate: int) -> list[np.ndarray]:
    """The beginnings of a folder's first recordings, [T] with a peak of 0.95.

    Raises:
        InputError: no recordings there, or of another sampling rate.
    """
    files = sorted(folder.glob("*.wav"))[:clips]
    if not files:
        raise InputError(f"--wavs: {folder} has no wav files")
    samples = int(seconds * sampling_rate)
    return [normalise_peak(load_wav_at(path, sampling_rate)[:samples]).astype(np.float32) for path in files]


def judge(
    ways: Mapping[str, Run], clips: Sequence[np.ndarray], audio: AudioConfig, device: torch.device
) -> list[Quality]:
    """Copy-synthesises the clips in each way; the first one, eager fp32, is what the others are compared with.

    Args:
        ways: name -> mel [1, M, L] on `device` to wav [1, T].
        clips: recordings [T].
        audio: of the mels.
        device: of the mels.
    """
    transform = MelSpectrogram(audio).to(device)
    loss_mel = MelSpectrogram(dataclasses.replace(audio, mel_fmax=None, framing="vocoder"))
    ratios: list[list[float]] = [[] for _ in ways]
    losses: list[list[float]] = [[] for _ in ways]
    for clip in clips:
        whole = torch.from_numpy(clip[: len(clip) // audio.hop_length * audio.hop_length])[None]
        with torch.inference_mode():
            mel, real = transform(whole.to(device)), loss_mel(whole)
            reference: Tensor | None = None
            for number, run in enumerate(ways.values()):
                wav = run(mel)[:, : whole.size(1)].float().cpu()
                reference = wav if reference is None else reference
                ratios[number].append(snr_db(reference, wav))
                losses[number].append((loss_mel(wav) - real).abs().mean().item())
    base = float(np.mean(losses[0]))
    return [
        Quality(
            None if np.inf in ratio else float(np.mean(ratio)),
            None if np.inf in ratio else min(ratio),
            float(np.mean(loss)),
            100 * (float(np.mean(loss)) / base - 1),
        )
        for ratio, loss in zip(ratios, losses, strict=True)
    ]


def snr_db(reference: Tensor, made: Tensor) -> float:
    """Energy of the reference over that of the difference, in dB; infinite where there is none."""
    noise = (made.double() - reference.double()).square().sum().item()
    energy = reference.double().square().sum().item()
    return 10 * float(np.log10(energy / noise)) if noise > 0 else np.inf
