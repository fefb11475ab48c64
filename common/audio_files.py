"""Read, list, and write audio files, and resample, scale, fade, and join audio.

Shapes: T samples.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from common.audio_config import MAX_WAV_VALUE
from common.audio_input.decoding import open_audio
from common.audio_input.folders import walk_files
from common.audio_input.names import AUDIO_SUFFIXES, is_audio_file
from common.errors import InputError
from common.files.atomic import write_whole
from common.machine.signals_and_streams import signals_wait
from common.project import command

log = logging.getLogger(__name__)
PEAK = 0.95  # base training normalises each clip to this peak (full scale is 1)
LARGEST_FLOAT_PEAK = 32.0  # louder floats are 16-bit values or the like, not loud audio
_BLOCK_SAMPLES = 1 << 20


@dataclasses.dataclass(frozen=True)
class WavInfo:
    """Properties in the header of an audio file."""

    sampling_rate: int
    channels: int
    frames: int
    is_pcm_wav: bool


def list_audio_files(folder: Path) -> list[Path]:
    """List all audio files below a folder, sorted by path.

    Linked folders are followed, and hidden files and folders skipped (see `walk_files`).

    Raises:
        InputError: the folder contains none.
    """
    files = sorted(walk_files(folder, is_audio_file))
    if not files:
        raise InputError(f"{folder}: no audio files ({', '.join(AUDIO_SUFFIXES)}) in this folder")
    return files


def wav_info(path: str | os.PathLike[str]) -> WavInfo:
    """Read a file's header. A file whose header does not hold its length is decoded.

    Raises:
        FileNotFoundError: no such file.
        InputError: no decoder for the file, no samples, a truncated wav file, or a header beyond the limits.
    """
    path = Path(path)
    with open_audio(path) as (header, blocks):
        frames = sum(map(len, blocks)) if header.frames is None else header.frames
    if frames == 0:
        raise InputError(f"{path}: the audio file has no samples")
    is_pcm_wav = header.container in ("WAV", "WAVEX") and header.subtype.startswith("PCM")
    return WavInfo(header.sampling_rate, header.channels, frames, is_pcm_wav)


def load_wav(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Read any audio file of `AUDIO_SUFFIXES` (8- to 32-bit integer, float), block by block.

    Returns:
        Mono float64 samples [T] in [-1, 1] (int16 / 32768, channels averaged), and the rate in Hz. Samples beyond full
        scale, which floats and lossy formats can have, are scaled down to a peak of 0.95, with a remark in the log.

    Raises:
        FileNotFoundError: no such file.
        InputError: unreadable, no samples, samples that are not finite, or floats of another scale.
    """
    path = Path(path)
    with open_audio(path) as (header, blocks):
        if header.frames is None:
            parts = [block.mean(axis=1) for block in blocks]
            wav = np.concatenate(parts) if parts else np.empty(0)
        else:
            wav = np.empty(header.frames)
            end = 0
            for block in blocks:
                wav[end : end + len(block)] = block.mean(axis=1)
                end += len(block)
            wav = wav[:end]
    if not wav.size:
        raise InputError(f"{path}: the audio file has no samples")
    if not np.isfinite(wav).all():
        raise InputError(f"{path}: the audio has samples that are not finite numbers")
    return within_full_scale(wav, path), header.sampling_rate


def within_full_scale(wav: np.ndarray, name: str | os.PathLike[str]) -> np.ndarray:
    """Scale [T] down to a peak of 0.95 if it exceeds full scale, with a remark in the log. Nothing is ever clipped.

    Raises:
        InputError: samples that cannot have been meant for a full scale of 1.
    """
    peak = find_peak(wav)
    if peak <= 1:
        return wav
    if peak > LARGEST_FLOAT_PEAK:
        raise InputError(
            f"{name}: its samples reach {peak:.6g}, but full scale is 1; divide 16-bit values by 32768 before saving "
            "them as floats, or save them as 16-bit integers"
        )
    _remark_on_scaling(os.fspath(name), peak)
    return wav * (PEAK / peak)


def find_peak(wav: np.ndarray) -> float:
    """Return the largest magnitude of [T], 0 if empty."""
    return float(max(wav.max(initial=0.0), -wav.min(initial=0.0)))


@functools.lru_cache(maxsize=4096)  # training reads a file again and again
def _remark_on_scaling(name: str, peak: float) -> None:
    log.warning("%s: peak %.3f is above full scale (1): scaled by %.3f", name, peak, PEAK / peak)


def load_wav_at(path: str | os.PathLike[str], sampling_rate: int) -> np.ndarray:
    """Call `load_wav`, and raise InputError unless the file has `sampling_rate`."""
    wav, actual = load_wav(path)
    if actual != sampling_rate:
        raise InputError(describe_wrong_rate(path, actual, sampling_rate))
    return wav


def describe_wrong_rate(path: str | os.PathLike[str], actual: int, expected: int) -> str:
    """Return the error message for a wrong sampling rate, with the remedy."""
    planned = (
        f" (or keep {actual} Hz and plan a generator for it: python -m hifigan.plan --sampling-rate {actual})"
        if actual < expected and actual >= 8000  # converting upwards adds no treble
        else ""
    )
    return (
        f"{path}: sampling rate is {actual} Hz, expected {expected} Hz; convert the data set with: "
        f"{command('python prepare_dataset.py')} --dataset-path SRC --convert-to DST --sampling-rate {expected}"
        f"{planned}"
    )


def resample(wav: np.ndarray, source_hz: int, target_hz: int) -> np.ndarray:
    """Resample [T] with soxr (very high quality) to ceil(T * target_hz / source_hz) samples.

    Steep edges may overshoot full scale, see `within_full_scale`.
    """
    if source_hz == target_hz:
        return wav
    import soxr

    floats = as_float(wav)
    with signals_wait():  # its C++ code ends the process if a handler raises an exception meanwhile
        made = soxr.resample(floats, source_hz, target_hz, quality="VHQ")
    num_samples = -(-len(wav) * target_hz // source_hz)  # soxr rounds, so a sample may be missing
    return np.pad(made, (0, max(0, num_samples - len(made))))[:num_samples]


def as_float(wav: np.ndarray) -> np.ndarray:
    """Return floats in [-1, 1] of [T]: floats as they are, int16 and int32 divided by their full scale.

    Raises:
        InputError: another type, whose full scale is unknown.
    """
    if np.issubdtype(wav.dtype, np.floating):
        return wav
    if wav.dtype in (np.int16, np.int32):
        return wav / -float(np.iinfo(wav.dtype).min)
    raise InputError(f"audio of type {wav.dtype}: give floats in [-1, 1], int16 or int32")


def normalise_peak(wav: np.ndarray) -> np.ndarray:
    """Scale [T] to a peak of 0.95. Silence stays unchanged."""
    wav = as_float(wav)
    peak = find_peak(wav)
    return wav if peak == 0 else wav / peak * PEAK


def fade_out(wav: np.ndarray, num_samples: int) -> np.ndarray:
    """Fade the last `num_samples` of [T] linearly to zero (all of it if shorter)."""
    length = min(num_samples, len(wav))
    if length <= 0:
        return wav
    faded = wav.copy()
    faded[-length:] *= np.linspace(1.0, 0.0, length + 1, dtype=wav.dtype)[1:]
    return faded


def fade_in(wav: np.ndarray, num_samples: int) -> np.ndarray:
    """Fade the first `num_samples` of [T] in linearly from zero (all of it if shorter)."""
    return fade_out(wav[::-1], num_samples)[::-1]


def join(wavs: Sequence[np.ndarray], pause_samples: int, fade_samples: int) -> np.ndarray:
    """Join pieces [T_i] of one speech with silence between them. Their inner ends fade to avoid clicks.

    Returns:
        [sum of T_i + pauses], of the pieces' dtype. The very beginning and end do not fade.
    """
    pause = np.zeros(pause_samples, dtype=wavs[0].dtype)
    joined: list[np.ndarray] = []
    for i, wav in enumerate(wavs):
        if i > 0:
            wav = fade_in(wav, fade_samples)
            joined.append(pause)
        joined.append(fade_out(wav, fade_samples) if i < len(wavs) - 1 else wav)
    return np.concatenate(joined) if len(joined) > 1 else joined[0]


def to_int16(wav: np.ndarray, name: str | os.PathLike[str]) -> np.ndarray:
    """Convert [T] in [-1, 1] to 16-bit samples [T]. Louder samples are clipped. int16 stays as it is.

    Args:
        wav: the samples.
        name: the file to be written, for the error message.

    Raises:
        InputError: samples that are not finite.
    """
    if wav.dtype == np.int16:
        return wav
    wav = as_float(wav)
    samples = np.empty(wav.shape, np.int16)
    for start in range(0, len(wav), _BLOCK_SAMPLES):  # bounds the memory of long files
        block = wav[start : start + _BLOCK_SAMPLES]
        if not np.isfinite(block).all():
            raise InputError(f"{name}: not written, the audio has samples that are not finite numbers")
        rounded = np.round(block * MAX_WAV_VALUE)
        samples[start : start + _BLOCK_SAMPLES] = np.clip(rounded, -MAX_WAV_VALUE, MAX_WAV_VALUE - 1)
    return samples


def count_clipped(wav: np.ndarray) -> int:
    """Count the samples of [T] that `to_int16` clips by more than rounding."""
    limit = 1 + 1 / MAX_WAV_VALUE
    return 0 if wav.dtype == np.int16 or find_peak(wav) <= limit else int(np.count_nonzero(np.abs(wav) > limit))


def describe_clipping(clipped: Mapping[str, int]) -> str:
    """Describe the samples clipped in each file, in one line for all files together."""
    name, most = max(clipped.items(), key=lambda item: item[1])
    files = "1 file exceeds" if len(clipped) == 1 else f"{len(clipped)} files exceed"
    return f"{files} full scale, and the loudest samples are clipped ({most} samples of {name})"


def save_wav(path: str | os.PathLike[str], wav: np.ndarray, sampling_rate: int) -> int:
    """Write [T] in [-1, 1] as 16-bit PCM, atomically.

    Louder samples are clipped. Nothing is rescaled, which preserves the relative loudness of files.

    Returns:
        The number of clipped samples, see `describe_clipping`.

    Raises:
        InputError: samples that are not finite.
    """
    path = Path(path)
    samples = to_int16(wav, path)
    encoded = io.BytesIO()  # Python writes the file: libsndfile does not raise OSError and does not name the cause
    soundfile.write(encoded, samples, sampling_rate, subtype="PCM_16", format="WAV")
    write_whole(path, encoded.getbuffer(), one_of_many=True)
    return count_clipped(wav)
