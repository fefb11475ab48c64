"""Read, list, and write audio files, and resample, scale, fade, and join audio.

Shapes: T samples.
"""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from common.audio_config import MAX_WAV_VALUE
from common.errors import InputError
from common.files.atomic import write_whole
from common.files.audio_names import AUDIO_SUFFIXES, is_audio_file
from common.project import command

PEAK = 0.95  # base training normalises each clip to this peak (full scale is 1)


@dataclasses.dataclass(frozen=True)
class WavInfo:
    """Properties in the header of an audio file."""

    sampling_rate: int
    channels: int
    frames: int
    is_pcm_wav: bool


def list_audio_files(folder: Path) -> list[Path]:
    """List all audio files below a folder, sorted by path.

    Raises:
        InputError: the folder contains none.
    """
    files = sorted(path for path in folder.rglob("*") if is_audio_file(path) and path.is_file())
    if not files:
        raise InputError(f"{folder}: no audio files ({', '.join(AUDIO_SUFFIXES)}) in this folder")
    return files


def wav_info(path: str | os.PathLike[str]) -> WavInfo:
    """Read a file's header.

    Raises:
        FileNotFoundError: no such file.
        InputError: libsndfile cannot read the file, it has no samples, or it is a truncated wav file.
    """
    _check_exists(path)
    _check_not_truncated(Path(path))
    try:
        info = soundfile.info(str(path))
    except soundfile.SoundFileError as error:
        raise InputError(f"{path}: not a readable audio file ({_format_reason(error)})") from error
    if info.frames == 0:
        raise InputError(f"{path}: the audio file has no samples")
    is_pcm_wav = info.format in ("WAV", "WAVEX") and info.subtype.startswith("PCM")
    return WavInfo(info.samplerate, info.channels, info.frames, is_pcm_wav)


def load_wav(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Read any audio file that libsndfile supports (8- to 32-bit integer, float; wav, FLAC, OGG).

    Returns:
        Mono float64 samples [T] with full scale 1.0 (int16 / 32768, channels averaged), and the rate in Hz.

    Raises:
        FileNotFoundError: no such file.
        InputError: unreadable, no samples, or samples that are not finite.
    """
    _check_exists(path)
    try:
        samples, sampling_rate = soundfile.read(str(path), dtype="float64", always_2d=True)
    except soundfile.SoundFileError as error:
        raise InputError(f"{path}: not a readable audio file ({_format_reason(error)})") from error
    wav = samples.mean(axis=1)
    if not wav.size:
        raise InputError(f"{path}: the audio file has no samples")
    if not np.isfinite(wav).all():
        raise InputError(f"{path}: the audio has samples that are not finite numbers")
    return wav, sampling_rate


def load_wav_at(path: str | os.PathLike[str], sampling_rate: int) -> np.ndarray:
    """Call `load_wav`, and raise InputError unless the file has `sampling_rate`."""
    wav, actual = load_wav(path)
    if actual != sampling_rate:
        raise InputError(describe_wrong_rate(path, actual, sampling_rate))
    return wav


def describe_wrong_rate(path: str | os.PathLike[str], actual: int, expected: int) -> str:
    """Return the error message for a wrong sampling rate, with the remedy."""
    return (
        f"{path}: sampling rate is {actual} Hz, expected {expected} Hz; "
        f"convert the data set with: {command('python prepare_dataset.py')} --dataset-path SRC --convert-to DST"
    )


def resample(wav: np.ndarray, source_hz: int, target_hz: int) -> np.ndarray:
    """Resample [T] with soxr (very high quality)."""
    if source_hz == target_hz:
        return wav
    import librosa

    return librosa.resample(wav, orig_sr=source_hz, target_sr=target_hz, res_type="soxr_vhq")


def normalise_peak(wav: np.ndarray) -> np.ndarray:
    """Scale [T] to a peak of 0.95. Silence stays unchanged."""
    peak = np.abs(wav).max(initial=0.0)
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
    return np.concatenate(joined)


def to_int16(wav: np.ndarray, name: str | os.PathLike[str]) -> np.ndarray:
    """Convert [T] in [-1, 1] to 16-bit samples [T]. Louder samples are clipped.

    Args:
        name: the file to be written, for the error message.

    Raises:
        InputError: samples that are not finite.
    """
    if not np.isfinite(wav).all():
        raise InputError(f"{name}: not written, the audio has samples that are not finite numbers")
    return np.clip(np.round(wav * MAX_WAV_VALUE), -MAX_WAV_VALUE, MAX_WAV_VALUE - 1).astype(np.int16)


def save_wav(path: str | os.PathLike[str], wav: np.ndarray, sampling_rate: int) -> None:
    """Write [T] in [-1, 1] as 16-bit PCM, atomically.

    Louder samples are clipped. Nothing is rescaled, which preserves the relative loudness of files.

    Raises:
        InputError: samples that are not finite.
    """
    path = Path(path)
    samples = to_int16(wav, path)
    encoded = io.BytesIO()  # Python writes the file: libsndfile does not raise OSError and does not name the cause
    soundfile.write(encoded, samples, sampling_rate, subtype="PCM_16", format="WAV")
    write_whole(path, encoded.getvalue())


def _check_exists(path: str | os.PathLike[str]) -> None:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")


def _check_not_truncated(path: Path) -> None:
    """Raise InputError for a truncated wav file, which libsndfile would silently accept."""
    with path.open("rb") as file:
        head = file.read(8)
    announced, actual = 8 + int.from_bytes(head[4:], "little"), path.stat().st_size
    # Programs that write to a pipe announce the largest possible size. Others are wrong by a few bytes.
    if head.startswith(b"RIFF") and actual + 64 < announced < 0x7FFF0000:
        raise InputError(f"{path}: the audio file is truncated: {actual} of {announced} bytes")


def _format_reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "error_string", error)).split())
