"""Read a recording of any kind and length as mono audio at the sampling rate of the voice.

Shapes: T samples, C channels, K bins of a spectrum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.audio_config import AudioConfig
from common.audio_files import LARGEST_FLOAT_PEAK
from common.audio_input.decoding import AudioHeader, open_audio
from common.errors import InputError
from common.machine.signals_and_streams import signals_wait
from voice.recordings.audio.channels import ChannelChoice, choose_channels
from voice.recordings.audio.quality import RecordingQuality

if TYPE_CHECKING:
    import soxr

RATE_HZ = AudioConfig().sampling_rate  # of the clips
SHORTEST_SEC = 0.3
_FULL_SCALE = 0.999  # of decoded samples that were clipped; lossy files may exceed it
_FFT = 4096
_FLOOR_DB = 75.0  # sound this far below the strongest band is rounding or dither
_SMOOTH_HZ = 200


def read_recording(path: str | Path) -> tuple[np.ndarray, RecordingQuality]:
    """Read any audio or video file in blocks, so that a long one needs little more memory than its result.

    Returns:
        Mono float32 samples [T] at 22050 Hz without DC offset, at the level of the file, and the quality without the
        measurements that need the places of speech (see `measure_levels`).

    Raises:
        FileNotFoundError: no such file.
        InputError: unreadable, without audio, too short, or samples that are not audio.
    """
    path = Path(path)
    with open_audio(path) as (header, blocks):
        choice = choose_channels(_checked(path, blocks), header.sampling_rate) if header.channels > 1 else _MONO
    meter = _Meter(header.sampling_rate)
    with open_audio(path) as (header, blocks):
        mono = (meter.watch(block @ choice.weights, block[:, choice.weights > 0]) for block in _checked(path, blocks))
        wav = _resample_blocks(mono, header)
    seconds = meter.samples / header.sampling_rate
    if seconds < SHORTEST_SEC:
        raise InputError(f"{path}: {seconds:.2f} s of audio are too short for speech; remove the file")
    offset = meter.total / meter.samples
    wav -= np.float32(offset)
    quality = RecordingQuality(
        seconds=round(seconds, 3),
        sampling_rate=header.sampling_rate,
        channels=header.channels,
        codec=f"{header.container} {header.subtype}",
        channel_choice=choice.reason,
        dc_offset=round(offset, 6),
        clipped_share=meter.clipped / meter.samples,
        bandwidth_hz=round(meter.bandwidth_hz()),
    )
    return wav, quality


_MONO = ChannelChoice(np.ones(1), "")


def _checked(path: Path, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    for block in blocks:
        peak = np.abs(block).max(initial=0.0)
        if not np.isfinite(peak):
            raise InputError(f"{path}: the audio has samples that are not finite numbers; export it again")
        if peak > LARGEST_FLOAT_PEAK:
            raise InputError(f"{path}: its samples reach {peak:.6g}, but full scale is 1; save it as 16-bit integers")
        yield block


def _resample_blocks(blocks: Iterable[np.ndarray], header: AudioHeader) -> np.ndarray:
    """Resample blocks [T] in one stream, without seams."""
    import soxr

    if header.sampling_rate == RATE_HZ:
        parts = [block.astype(np.float32) for block in blocks]
    else:
        stream = soxr.ResampleStream(header.sampling_rate, RATE_HZ, 1, dtype="float32", quality="VHQ")
        parts = [_resample(stream, block.astype(np.float32)) for block in blocks]
        parts.append(_resample(stream, np.zeros(0, np.float32), last=True))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _resample(stream: soxr.ResampleStream, block: np.ndarray, last: bool = False) -> np.ndarray:
    with signals_wait():  # as in `common.audio_files.resample`
        return stream.resample_chunk(block, last=last)


class _Meter:
    """Statistics of the blocks that pass: sum, clipped samples and mean spectrum."""

    def __init__(self, sampling_rate: int) -> None:
        self.sampling_rate = sampling_rate
        self.samples = 0
        self.total = 0.0
        self.clipped = 0
        self._spectrum = np.zeros(_FFT // 2 + 1)
        self._window = np.hanning(_FFT)

    def watch(self, mono: np.ndarray, used: np.ndarray) -> np.ndarray:
        """Measure a block [T] and the channels [T, C] that it is made of, and return the block."""
        self.samples += len(mono)
        self.total += float(mono.sum())
        full = np.abs(used) >= _FULL_SCALE
        self.clipped += int(np.count_nonzero((full[1:] & full[:-1]).any(axis=1)))
        frames = mono[: len(mono) // _FFT * _FFT].reshape(-1, _FFT)
        self._spectrum += (np.abs(np.fft.rfft(frames * self._window)) ** 2).sum(axis=0)
        return mono

    def bandwidth_hz(self) -> float:
        """Return the frequency above which the mean spectrum stays 75 dB below its peak."""
        width = max(1, round(_SMOOTH_HZ * _FFT / self.sampling_rate))
        level_db = 10 * np.log10(np.convolve(self._spectrum, np.ones(width) / width, "same") + 1e-20)
        low = round(80 * _FFT / self.sampling_rate)  # hum and offsets are no sound
        present = np.flatnonzero(level_db[low:] > level_db[low:].max() - _FLOOR_DB)
        return float((present[-1] + low) * self.sampling_rate / _FFT) if len(present) else 0.0
