"""Waveforms and mel spectrograms.

Shapes: B batch, T samples, L frames, M mel bands, F frequency bins.
"""

from __future__ import annotations

import dataclasses
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.errors import InputError
from common.files import write_whole

MAX_WAV_VALUE = 32768.0
PEAK = 0.95  # base training normalises each clip to this peak
LOG_FLOOR = 1e-5  # mel magnitudes are clamped here before the logarithm
SILENCE = math.log(LOG_FLOOR)  # log mel of digital silence; 0 would be loud
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg")
MEL_CONFIG_FILE = "audio_config.json"  # beside prepared mels: the AudioConfig that they were made with


@dataclasses.dataclass(frozen=True)
class AudioConfig:
    """The signal contract between audio and mel spectrogram.

    Attributes:
        sampling_rate: samples per second of the audio, in Hz.
        filter_length: FFT size in samples.
        hop_length: samples from one frame to the next.
        win_length: length of the periodic Hann window in samples.
        num_mels: number of Slaney mel bands.
        mel_fmin: lower edge of the first band, in Hz.
        mel_fmax: upper edge of the last band, in Hz; None is the Nyquist frequency.
        framing: "vocoder" (T // hop frames, frame k centred on sample hop * k + hop / 2) or
            "tacotron" (T // hop + 1 frames, frame k centred on sample hop * k).

    Raises:
        InputError: the values contradict each other.
    """

    sampling_rate: int = 22050
    filter_length: int = 1024
    hop_length: int = 256
    win_length: int = 1024
    num_mels: int = 80
    mel_fmin: float = 0.0
    mel_fmax: float | None = 8000.0
    framing: str = "vocoder"

    def __post_init__(self) -> None:
        for name in ("sampling_rate", "filter_length", "hop_length", "win_length", "num_mels"):
            value = getattr(self, name)
            if not isinstance(value, int) or value <= 0:
                raise InputError(f"{name}: {value!r} is not a whole number above 0")
        for name in ("mel_fmin", "fmax_hz"):
            if not isinstance(getattr(self, name), int | float):
                raise InputError(f"{name.replace('fmax_hz', 'mel_fmax')}: {getattr(self, name)!r} is not a number")
        if self.framing not in ("vocoder", "tacotron"):
            raise InputError(f"framing: {self.framing!r} is neither 'vocoder' nor 'tacotron'")
        if self.win_length > self.filter_length:
            raise InputError(f"win_length {self.win_length} is longer than filter_length {self.filter_length}")
        if self.hop_length > self.filter_length or (self.filter_length - self.hop_length) % 2:
            raise InputError(
                f"hop_length {self.hop_length}: filter_length {self.filter_length} minus it must be even, not negative"
            )
        if not 0 <= self.mel_fmin < self.fmax_hz <= self.sampling_rate / 2:
            raise InputError(
                f"mel_fmin {self.mel_fmin} and mel_fmax {self.mel_fmax} must lie in order between 0 "
                f"and half the sampling rate ({self.sampling_rate / 2:g} Hz)"
            )

    @property
    def fmax_hz(self) -> float:
        return self.sampling_rate / 2 if self.mel_fmax is None else self.mel_fmax

    @property
    def padding(self) -> int:
        """Samples of reflection on each side of the signal."""
        return (self.filter_length - (self.hop_length if self.framing == "vocoder" else 0)) // 2

    def num_frames(self, num_samples: int) -> int:
        return num_samples // self.hop_length + (self.framing == "tacotron")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **changes: Any) -> AudioConfig:
        """Takes the keys it knows from a checkpoint's `train_setup` or a JSON file."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{**{k: v for k, v in values.items() if k in names}, **changes})


def mel_filters(config: AudioConfig) -> np.ndarray:
    """Triangles [M, filter_length // 2 + 1], float32, of area 1 over Hz, evenly spaced on Slaney's mel scale.

    That scale (Auditory Toolbox, 1998) has 3 mels in 200 Hz up to 1 kHz, and above 27 mels to each factor of 6.4.
    librosa's `filters.mel` gives the same; importing it takes longer than importing all else but PyTorch.
    """
    knee_hz, mels_per_hz, mels_per_log = 1000.0, 3 / 200, 27 / math.log(6.4)
    knee = knee_hz * mels_per_hz

    def to_mel(hz: float) -> float:
        return hz * mels_per_hz if hz < knee_hz else knee + math.log(hz / knee_hz) * mels_per_log

    mels = np.linspace(to_mel(config.mel_fmin), to_mel(config.fmax_hz), config.num_mels + 2)
    edges = np.where(mels < knee, mels / mels_per_hz, knee_hz * np.exp((mels - knee) / mels_per_log))
    lower, centre, upper = (edges[i : i + config.num_mels, None] for i in range(3))
    hz = np.fft.rfftfreq(config.filter_length, 1 / config.sampling_rate)
    triangles = np.minimum((hz - lower) / (centre - lower), (upper - hz) / (upper - centre))
    return (np.maximum(triangles, 0) * 2 / (upper - lower)).astype(np.float32)


class MelSpectrogram(nn.Module):
    """Natural-log mel spectrogram with the bands of `mel_filters`.

    The magnitude is sqrt(re^2 + im^2 + 1e-9) in "vocoder" framing and sqrt(re^2 + im^2) in "tacotron" framing,
    as the checkpoints of either kind were trained with. Differentiable; computed in fp32 under autocast too (in fp64
    after `.double()`).
    """

    window: Tensor
    mel_basis: Tensor

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mel_basis", torch.from_numpy(mel_filters(config)), persistent=False)
        self.register_buffer("window", torch.hann_window(config.win_length), persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        """wav [B, T] in [-1, 1] -> log mel [B, M, L].

        Raises:
            InputError: wrong shape, or too few samples to reflect at the edges.
        """
        config = self.config
        if wav.dim() != 2:
            raise InputError(f"mel spectrogram: expected wav of shape [B, T], got {list(wav.shape)}")
        if wav.size(1) <= config.padding:
            raise InputError(f"mel spectrogram: {wav.size(1)} samples are too few, need more than {config.padding}")
        with torch.autocast(wav.device.type, enabled=False):
            padded = F.pad(
                wav.to(self.window.dtype).unsqueeze(1), (config.padding, config.padding), mode="reflect"
            ).squeeze(1)
            spec = torch.stft(
                padded,
                config.filter_length,
                config.hop_length,
                config.win_length,
                self.window,
                center=False,
                return_complex=True,
            )
            if config.framing == "vocoder":
                power = torch.view_as_real(spec).square().sum(-1)
                magnitude = torch.sqrt(power + 1e-9)
            else:
                magnitude = spec.abs()
            return torch.log(torch.clamp(self.mel_basis @ magnitude, min=LOG_FLOOR))


@dataclasses.dataclass(frozen=True)
class WavInfo:
    """What the header of an audio file says."""

    sampling_rate: int
    channels: int
    frames: int
    is_pcm_wav: bool


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
