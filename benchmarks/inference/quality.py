"""The quality gate: checks on real speech that a faster way of running a generator gives the same sound.

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
from common.audio_files import list_audio_files, load_wav_at, normalise_peak

MIN_SNR_DB = 38.0  # of each clip, relative to eager fp32
MAX_MEL_CHANGE_PERCENT = 0.3
Run = Callable[[Tensor], Tensor]


@dataclasses.dataclass(frozen=True)
class Quality:
    """Quality of one way over several clips.

    Attributes:
        snr_db: energy of the reference over energy of the difference in dB, mean over clips, or None if a clip is
            equal. NaN if either has values that are not finite, which does not pass.
        lowest_snr_db: the lowest ratio of a clip, or None if all are equal.
        mel_loss: L1 distance between log-mels (up to the Nyquist frequency) of output and recording, mean over clips.
        mel_change_percent: increase of the mel loss over the reference's.
    """

    snr_db: float | None
    lowest_snr_db: float | None
    mel_loss: float
    mel_change_percent: float

    @property
    def passes(self) -> bool:
        # The mean is at least the lowest, unless it is NaN.
        is_close = all(ratio is None or ratio >= MIN_SNR_DB for ratio in (self.snr_db, self.lowest_snr_db))
        return is_close and abs(self.mel_change_percent) <= MAX_MEL_CHANGE_PERCENT


def read_clips(folder: Path, clips: int, seconds: float, sampling_rate: int) -> list[np.ndarray]:
    """Return the beginnings of a folder's first recordings, [T] with a peak of 0.95.

    Raises:
        InputError: the folder has no recordings, or one has another sampling rate.
    """
    files = list_audio_files(folder)[:clips]
    samples = int(seconds * sampling_rate)
    return [normalise_peak(load_wav_at(path, sampling_rate)[:samples]).astype(np.float32) for path in files]


def judge(
    ways: Mapping[str, Run], clips: Sequence[np.ndarray], audio: AudioConfig, device: torch.device
) -> list[Quality]:
    """Resynthesise the clips in each way, and compare with the first way, eager fp32.

    Args:
        ways: by name, functions from mel [1, M, L] on `device` to wav [1, T].
        clips: recordings [T].
        audio: settings of the mels.
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
            None if min(ratio) == np.inf else min(ratio),
            float(np.mean(loss)),
            100 * (float(np.mean(loss)) / base - 1),
        )
        for ratio, loss in zip(ratios, losses, strict=True)
    ]


def snr_db(reference: Tensor, actual: Tensor) -> float:
    """Return the ratio of the reference's energy to the difference's in dB, infinite if equal, NaN if one has NaN."""
    noise = (actual.double() - reference.double()).square().sum().item()
    energy = reference.double().square().sum().item()
    if not np.isfinite(noise):
        return np.nan
    return 10 * float(np.log10(energy / noise)) if noise > 0 else np.inf
