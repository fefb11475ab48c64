"""The signal settings that relate audio to mel spectrograms, without PyTorch: the flags of programs need them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from common.errors import InputError

MAX_WAV_VALUE = 32768.0
MEL_CONFIG_FILE = "audio_config.json"  # beside prepared mels: their AudioConfig
LOG_FLOOR = 1e-5  # mel magnitudes are clamped here before the logarithm
LOG_BASES = ("ln", "log10")  # of mels
# Beyond these a file is damaged: the matrix of the mel bands alone would take gigabytes.
LARGEST = {"sampling_rate": 768_000, "num_mels": 1024} | dict.fromkeys(
    ("filter_length", "hop_length", "win_length"), 1 << 17
)
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
            if value > LARGEST[name]:
                raise InputError(f"{name}: {value} is above {LARGEST[name]}, the largest that can be used")
        for name in ("mel_fmin", "fmax_hz"):
            if not isinstance(getattr(self, name), int | float):
                raise InputError(f"{name.replace('fmax_hz', 'mel_fmax')}: {getattr(self, name)!r} is not a number")
        if self.framing not in ("vocoder", "tacotron"):
            raise InputError(f"framing: {self.framing!r} is neither 'vocoder' nor 'tacotron'")
        if self.win_length > self.filter_length:
            raise InputError(f"win_length {self.win_length} is longer than filter_length {self.filter_length}")
        is_odd = self.framing == "vocoder" and (self.filter_length - self.hop_length) % 2
        if self.hop_length > self.filter_length or is_odd:
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


@dataclasses.dataclass(frozen=True)
class MelConvention:
    """How the magnitudes of mel bands become the values of a mel, where programs differ beyond `AudioConfig`.

    A value is (gain * log(max(x, log_floor)) - mel_mean) / mel_scale, within `mel_clip`. The paper's
    authors and this project use the defaults.

    Attributes:
        log_base: "ln" or "log10".
        log_floor: smallest magnitude of a band, in units of full scale.
        log_floor_added: the floor is added to x, instead of a bound for it.
        gain: factor of the logarithm. 20 with log10 gives decibels.
        spectrum_power: 1 for the magnitudes of the spectrum, 2 for their squares.
        epsilon: added to the squared magnitude before the root. None is 1e-9 in "vocoder" framing, else 0.
        edges: "reflect" or "zeros", what continues the signal on both sides.
        window: "periodic" or "symmetric", the kind of Hann window.
        mel_mean, mel_scale: one value, or one for each band.
        mel_clip: smallest and largest value after that, or None.
        last_frame: value of the whole last frame, which some programs mask, or None.
        obstacle: why audio cannot be turned into such mels here, or empty. Mels from files are not affected.

    Raises:
        InputError: an unknown choice, or a floor, gain or scale of 0.
    """

    log_base: str = "ln"
    log_floor: float = LOG_FLOOR
    log_floor_added: bool = False
    gain: float = 1.0
    spectrum_power: int = 1
    epsilon: float | None = None
    edges: str = "reflect"
    window: str = "periodic"
    mel_mean: tuple[float, ...] = (0.0,)
    mel_scale: tuple[float, ...] = (1.0,)
    mel_clip: tuple[float, float] | None = None
    last_frame: float | None = None
    obstacle: str = ""

    def __post_init__(self) -> None:
        for name, choices in (
            ("log_base", LOG_BASES),
            ("edges", ("reflect", "zeros")),
            ("window", ("periodic", "symmetric")),
            ("spectrum_power", (1, 2)),
            ("log_floor_added", (False, True)),
        ):
            if getattr(self, name) not in choices:
                raise InputError(f"{name}: {getattr(self, name)!r} is neither {' nor '.join(map(repr, choices))}")
        try:
            for name in ("log_floor", "gain"):
                object.__setattr__(self, name, float(getattr(self, name)))
            for name in ("mel_mean", "mel_scale", "mel_clip"):
                value = getattr(self, name)
                if value is not None:
                    values = (value,) if isinstance(value, int | float) else value
                    object.__setattr__(self, name, tuple(float(x) for x in values))
            for name in ("epsilon", "last_frame"):
                if getattr(self, name) is not None:
                    object.__setattr__(self, name, float(getattr(self, name)))
            finite = all(math.isfinite(x) for x in (self.log_floor, self.gain, *self.mel_mean, *self.mel_scale))
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"mel settings: {error}") from error
        if not 0 < len(self.mel_mean) <= LARGEST["num_mels"] or not 0 < len(self.mel_scale) <= LARGEST["num_mels"]:
            raise InputError("mel settings: mel_mean and mel_scale have one value, or one for each band")
        if not finite or self.log_floor <= 0 or self.gain == 0 or 0 in self.mel_scale:
            raise InputError("mel settings: floor, gain and scale must be finite, and not 0")
        if self.mel_clip is not None and (len(self.mel_clip) != 2 or not self.mel_clip[0] < self.mel_clip[1]):
            raise InputError(f"mel_clip: {self.mel_clip} is not a smaller and a larger value")

    @property
    def silence(self) -> float:
        """Value of digital silence, the mean over the bands."""
        magnitude = self.log_floor
        value = self.gain * (math.log(magnitude) if self.log_base == "ln" else math.log10(magnitude))
        mean, scale = sum(self.mel_mean) / len(self.mel_mean), sum(self.mel_scale) / len(self.mel_scale)
        value = (value - mean) / scale
        return value if self.mel_clip is None else min(max(value, self.mel_clip[0]), self.mel_clip[1])

    def to_dict(self) -> dict[str, Any]:
        """Return the logarithm and all values that are not the defaults, as plain values for JSON."""
        kept = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name == "log_base" or getattr(self, field.name) != field.default
        }
        return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MelConvention:
        """Build from the known keys of a checkpoint's `train_setup` or a JSON file."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in names})


OUR_MELS = MelConvention()  # and the paper authors'
