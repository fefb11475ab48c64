"""Audio files: reading, writing, resampling, levels and fades.

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

from common.audio import MAX_WAV_VALUE
from common.errors import InputError
from common.files.atomic import write_whole

PEAK = 0.95  # base training normalises each clip to this peak
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg")  # in order of preference, where a clip exists in several formats


@dataclasses.dataclass(frozen=True)
class WavInfo:
    """What the header of an audio file says."""

    sampling_rate: int
    channels: int
    frames: int
    is_pcm_wav: bool


def is_audio_file(path: Path) -> bool:
    """Whether the name has an audio suffix, in upper or lower case."""
    return path.suffix.lower() in AUDIO_SUFFIXES


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
    """Reads a file's header.

    Raises:
        FileNotFoundError: no such file.
        InputError: not an audio file that libsndfile reads, one without samples, or a wav file that breaks off.
    """
    _must_exist(path)
    _refuse_broken_off(Path(path))
    try:
        info = soundfile.info(str(path))
    except soundfile.SoundFileError as error:
        raise InputError(f"{path}: not a readable audio file ({_reason(error)})") from error
    if info.frames == 0:
        raise InputError(f"{path}: the audio file has no samples")
    is_pcm_wav = info.format in ("WAV", "WAVEX") and info.subtype.startswith("PCM")
    return WavInfo(info.samplerate, info.channels, info.frames, is_pcm_wav)


def load_wav(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Reads any audio file that libsndfile reads (8- to 32-bit integer, float; wav, FLAC, OGG).

    Returns:
        mono float64 samples [T], full scale 1.0 (int16 / 32768; channels are averaged), and the rate in Hz.

    Raises:
        FileNotFoundError: no such file.
        InputError: unreadable, without samples, or with samples that are not finite.
    """
    _must_exist(path)
    try:
        samples, sampling_rate = soundfile.read(str(path), dtype="float64", always_2d=True)
    except soundfile.SoundFileError as error:
        raise InputError(f"{path}: not a readable audio file ({_reason(error)})") from error
    wav = samples.mean(axis=1)
    if not wav.size:
        raise InputError(f"{path}: the audio file has no samples")
    if not np.isfinite(wav).all():
        raise InputError(f"{path}: the audio has samples that are not finite numbers")
    return wav, sampling_rate


def load_wav_at(path: str | os.PathLike[str], sampling_rate: int) -> np.ndarray:
    """`load_wav` for audio that must already have `sampling_rate`; raises InputError otherwise."""
    wav, actual = load_wav(path)
    if actual != sampling_rate:
        raise InputError(wrong_rate(path, actual, sampling_rate))
    return wav


def wrong_rate(path: str | os.PathLike[str], actual: int, expected: int) -> str:
    """The message for audio of another sampling rate, with the remedy."""
    return (
        f"{path}: sampling rate is {actual} Hz, expected {expected} Hz; "
        "convert the data set with: python prepare_dataset.py --dataset-path SRC --convert-to DST"
    )


def resample(wav: np.ndarray, source_hz: int, target_hz: int) -> np.ndarray:
    """Resamples [T] with soxr (very high quality)."""
    if source_hz == target_hz:
        return wav
    import librosa

    return librosa.resample(wav, orig_sr=source_hz, target_sr=target_hz, res_type="soxr_vhq")


def normalise_peak(wav: np.ndarray) -> np.ndarray:
    """Scales [T] to a peak of 0.95; silence stays as it is."""
    peak = np.abs(wav).max(initial=0.0)
    return wav if peak == 0 else wav / peak * PEAK


def fade_out(wav: np.ndarray, num_samples: int) -> np.ndarray:
    """Fades the last `num_samples` of [T] linearly to zero (all of a shorter clip)."""
    length = min(num_samples, len(wav))
    if length <= 0:
        return wav
    faded = wav.copy()
    faded[-length:] *= np.linspace(1.0, 0.0, length + 1, dtype=wav.dtype)[1:]
    return faded


def fade_in(wav: np.ndarray, num_samples: int) -> np.ndarray:
    """Lets the first `num_samples` of [T] rise linearly from zero (all of a shorter clip)."""
    return fade_out(wav[::-1], num_samples)[::-1]


def join(wavs: Sequence[np.ndarray], pause_samples: int, fade_samples: int) -> np.ndarray:
    """Joins pieces [T_i] of one speech, with silence between them; the ends that meet it fade, so that nothing clicks.

    Returns:
        [sum of T_i + pauses], of the pieces' type; the very beginning and end do not fade.
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
    """[T] in [-1, 1] -> 16-bit samples [T]; louder ones are clipped.

    Raises:
        InputError: samples that are not finite; it says that `name` is not written.
    """
    if not np.isfinite(wav).all():
        raise InputError(f"{name}: not written, the audio has samples that are not finite numbers")
    return np.clip(np.round(wav * MAX_WAV_VALUE), -MAX_WAV_VALUE, MAX_WAV_VALUE - 1).astype(np.int16)


def save_wav(path: str | os.PathLike[str], wav: np.ndarray, sampling_rate: int) -> None:
    """Writes [T] in [-1, 1] as 16-bit PCM; the file appears whole or not at all.

    Louder samples are clipped; nothing is rescaled, so the relative loudness of files is kept.

    Raises:
        InputError: samples that are not finite.
    """
    path = Path(path)
    samples = to_int16(wav, path)
    encoded = io.BytesIO()  # written by Python: libsndfile's errors are no OSError and do not say what is wrong
    soundfile.write(encoded, samples, sampling_rate, subtype="PCM_16", format="WAV")
    write_whole(path, encoded.getvalue())


def _must_exist(path: str | os.PathLike[str]) -> None:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")


def _refuse_broken_off(path: Path) -> None:
    """libsndfile silently reads what there is of a wav file whose end is missing."""
    with path.open("rb") as file:
        head = file.read(8)
    announced, actual = 8 + int.from_bytes(head[4:], "little"), path.stat().st_size
    # Programs that write to a pipe announce the largest size; others are wrong by a few bytes.
    if head.startswith(b"RIFF") and actual + 64 < announced < 0x7FFF0000:
        raise InputError(f"{path}: the audio file breaks off: {actual} of {announced} bytes are there")


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "error_string", error)).split())
