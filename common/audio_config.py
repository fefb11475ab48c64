"""The signal settings that relate audio to mel spectrograms, without PyTorch: the flags of programs need them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from common.errors import InputError

MAX_WAV_VALUE = 32768.0
MEL_CONFIG_FILE = "audio_config.json"  # beside prepared mels: their AudioConfig
LOG_BASES = ("ln", "log10")  # of mels
# Signal keys of the paper authors' JSON files -> our names.
SIGNAL_KEYS = {
    "segment_size": "segment_size",
    "num_mels": "num_mels",
    "n_fft": "filter_length",
    "hop_size": "hop_length",
    "win_size": "win_length",
    "sampling_rate": "sampling_rate",
    "fmin": "mel_fmin",
    "fmax": "mel_fmax",
    "fmax_loss": "mel_fmax_loss",
    "fmax_for_loss": "mel_fmax_loss",
}


@dataclasses.dataclass(frozen=True)
class AudioConfig:
    """The signal settings that relate audio to mel spectrograms.

    Attributes:
        sampling_rate: samples per second of the audio, in Hz.
        filter_length: FFT size in samples.
        hop_length: samples between frames.
        win_length: length of the periodic Hann window in samples.
        num_mels: number of Slaney mel bands.
        mel_fmin: lower edge of the first band, in Hz.
        mel_fmax: upper edge of the last band, in Hz. None is the Nyquist frequency.
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
        """Build from the known keys of a checkpoint's `train_setup` or a JSON file."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{**{k: v for k, v in values.items() if k in names}, **changes})
