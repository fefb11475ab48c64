"""Generator configuration: the six keys in every checkpoint, and the number of mel bands. Description of a file."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.audio_config import OUR_MELS, SIGNAL_KEYS, AudioConfig, MelConvention
from common.errors import InputError
from common.files.json_files import read_json
from common.mel_contract import MelContract

log = logging.getLogger(__name__)

GENERATOR_KEYS = (
    "upsample_rates",
    "upsample_kernel_sizes",
    "upsample_initial_channel",
    "resblock",
    "resblock_kernel_sizes",
    "resblock_dilation_sizes",
)
# Of architectures that other programs have. Checkpoints hold only those that are not the defaults.
VARIANT_KEYS = ("padding", "exact_upsampling", "output_bias", "normalised_input")
MOST_LAYERS = 2000  # V1 has 36
MOST_PARAMETERS = 1 << 28  # 1 GiB; V1 has 13.9 million
LONGEST_HOP = 1 << 14  # samples
WIDEST_KERNEL = 1 << 12  # in samples, with its dilation; the widest of V1 has 51
# Keys of the paper authors' files that describe only their training. Every published config.json has them.
TRAINING_KEYS = frozenset(
    {
        *("num_gpus", "num_workers", "dist_config", "batch_size", "seed"),
        *("learning_rate", "lr_decay", "adam_b1", "adam_b2", "num_freq"),
    }
)


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """Architecture of the generator (paper section 2.2 and appendix A.1). The defaults are V1.

    Attributes:
        upsample_rates: stride of each transposed convolution. Their product is the hop length.
        upsample_kernel_sizes: kernel of each transposed convolution, not below its rate.
        upsample_initial_channel: channels before the first stage. Each stage halves them.
        resblock: "1" (pairs of convolutions) or "2" (single convolutions).
        resblock_kernel_sizes: odd kernel of each residual block of a stage.
        resblock_dilation_sizes: dilations within each of these blocks.
        num_mels: mel bands of the input.
        padding: "zeros" or "reflect", of all convolutions but the transposed ones.
        exact_upsampling: a stage whose kernel - rate is odd makes exactly rate * L samples of L (ParallelWaveGAN),
            instead of one more (the paper authors).
        output_bias: the last layer has a bias.
        normalised_input: the generator subtracts a mean from each band and divides by a scale, which it holds.

    Raises:
        InputError: the values contradict each other.
    """

    upsample_rates: tuple[int, ...] = (8, 8, 2, 2)
    upsample_kernel_sizes: tuple[int, ...] = (16, 16, 4, 4)
    upsample_initial_channel: int = 512
    resblock: str = "1"
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilation_sizes: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    num_mels: int = 80
    padding: str = "zeros"
    exact_upsampling: bool = False
    output_bias: bool = True
    normalised_input: bool = False

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "resblock", str(self.resblock))
            for name in ("upsample_rates", "upsample_kernel_sizes", "resblock_kernel_sizes"):
                object.__setattr__(self, name, _whole_numbers(getattr(self, name)))
            dilations = tuple(_whole_numbers(row) for row in self.resblock_dilation_sizes)
            object.__setattr__(self, "resblock_dilation_sizes", dilations)
            for name in ("upsample_initial_channel", "num_mels"):
                object.__setattr__(self, name, _whole_number(getattr(self, name)))
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"generator configuration: {error}") from error
        self._check()

    def _check(self) -> None:
        if self.resblock not in ("1", "2"):
            raise InputError(f"generator configuration: resblock is {self.resblock!r}, not '1' or '2'")
        if not self.upsample_rates or len(self.upsample_rates) != len(self.upsample_kernel_sizes):
            raise InputError("generator configuration: upsample_rates and upsample_kernel_sizes differ in length")
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernel_sizes, strict=True):
            if rate < 1 or kernel < rate:
                raise InputError(f"generator configuration: upsampling kernel {kernel} is shorter than its rate {rate}")
        if not self.resblock_kernel_sizes or len(self.resblock_kernel_sizes) != len(self.resblock_dilation_sizes):
            raise InputError(
                "generator configuration: resblock_kernel_sizes and resblock_dilation_sizes differ in length"
            )
        if any(kernel < 1 or kernel % 2 == 0 for kernel in self.resblock_kernel_sizes):
            raise InputError(f"generator configuration: resblock_kernel_sizes {self.resblock_kernel_sizes} must be odd")
        if any(not row or min(row) < 1 for row in self.resblock_dilation_sizes):
            raise InputError("generator configuration: resblock_dilation_sizes must be positive")
        layers = len(self.upsample_rates) * sum(map(len, self.resblock_dilation_sizes))
        if layers > MOST_LAYERS:
            raise InputError(
                f"generator configuration: {layers} dilated convolutions, at most {MOST_LAYERS} are allowed"
            )
        if self.upsample_initial_channel < 1 or self.upsample_initial_channel % 2 ** len(self.upsample_rates):
            raise InputError(
                f"generator configuration: upsample_initial_channel {self.upsample_initial_channel} "
                f"cannot be halved {len(self.upsample_rates)} times"
            )
        if self.num_mels < 1:
            raise InputError(f"generator configuration: num_mels is {self.num_mels}")
        self._check_size()
        if self.padding not in ("zeros", "reflect"):
            raise InputError(f"generator configuration: padding is {self.padding!r}, not 'zeros' or 'reflect'")
        for name in ("exact_upsampling", "output_bias", "normalised_input"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"generator configuration: {name} is {getattr(self, name)!r}, not true or false")

    def _check_size(self) -> None:
        """Raise `InputError` for a generator that takes gigabytes: the file is damaged, or a trap."""
        spans = [
            (kernel - 1) * max(row)
            for kernel, row in zip(self.resblock_kernel_sizes, self.resblock_dilation_sizes, strict=True)
        ]
        for name, value, most in (
            ("parameters", self.num_parameters, MOST_PARAMETERS),
            ("samples for each frame", self.hop_length, LONGEST_HOP),
            ("samples in a dilated kernel", max(spans) + 1, WIDEST_KERNEL),
        ):
            if value > most:
                raise InputError(f"generator configuration: it has {value:,} {name}, more than {most:,}")

    @property
    def num_parameters(self) -> int:
        """Parameters without weight norm and biases."""
        channels = self.upsample_initial_channel
        count = 7 * self.num_mels * channels
        for kernel in self.upsample_kernel_sizes:
            count += kernel * channels * (channels // 2)
            channels //= 2
            for size, dilations in zip(self.resblock_kernel_sizes, self.resblock_dilation_sizes, strict=True):
                count += len(dilations) * (2 if self.resblock == "1" else 1) * size * channels**2
        return count + 7 * channels

    @property
    def hop_length(self) -> int:
        """Audio samples per mel frame."""
        return math.prod(self.upsample_rates)

    @property
    def upsample_paddings(self) -> list[tuple[int, int]]:
        """Padding and output padding of each transposed convolution."""
        return [
            ((kernel - rate + 1) // 2, (kernel - rate) % 2) if self.exact_upsampling else ((kernel - rate) // 2, 0)
            for rate, kernel in zip(self.upsample_rates, self.upsample_kernel_sizes, strict=True)
        ]

    def num_samples(self, frames: int) -> int:
        """Return the audio samples that the generator makes of this number of mel frames."""
        length = frames
        for rate, kernel, (padding, output_padding) in zip(
            self.upsample_rates, self.upsample_kernel_sizes, self.upsample_paddings, strict=True
        ):
            length = (length - 1) * rate - 2 * padding + kernel + output_padding
        return length

    @property
    def surplus_samples(self) -> int:
        """Samples beyond `hop_length` for each frame, at the end."""
        return self.num_samples(1) - self.hop_length

    @property
    def min_frames(self) -> int:
        """Frames of the shortest mel: reflection needs more values than it adds."""
        if self.padding == "zeros":
            return 1
        widest = max(
            (size - 1) // 2 * max(dilations)
            for size, dilations in zip(self.resblock_kernel_sizes, self.resblock_dilation_sizes, strict=True)
        )
        return max(3, widest // self.upsample_rates[0]) + 1  # 3: the first layer, kernel 7

    @property
    def is_plain(self) -> bool:
        """Whether the architecture is the paper's: zero padding, an output bias, and even kernel - rate."""
        odd = any(
            (kernel - rate) % 2 for rate, kernel in zip(self.upsample_rates, self.upsample_kernel_sizes, strict=True)
        )
        return self.padding == "zeros" and self.output_bias and not odd

    @property
    def receptive_field_frames(self) -> int:
        """Mel frames on each side of its own that an output sample can depend on (13 in V1 and V2, 11 in V3)."""
        # Follow the interval that the samples of frame 100 depend on back through the layers.
        first, last = 100 * self.hop_length - 3, 101 * self.hop_length - 1 + 3  # conv_post, kernel 7
        stages = zip(self.upsample_rates, self.upsample_kernel_sizes, self.upsample_paddings, strict=True)
        for rate, kernel, (padding, _) in reversed(list(stages)):
            span = max(
                (size - 1) // 2 * sum(dilation + (self.resblock == "1") for dilation in dilations)
                for size, dilations in zip(self.resblock_kernel_sizes, self.resblock_dilation_sizes, strict=True)
            )
            first = -((kernel - 1 - padding - (first - span)) // rate)
            last = (last + span + padding) // rate
        return max(100 - (first - 3), last + 3 - 100)  # conv_pre, kernel 7

    def to_dict(self) -> dict[str, Any]:
        """Return the six checkpoint keys as plain lists, ints, and the string `resblock`, and keys of variants."""
        values = {key: getattr(self, key) for key in GENERATOR_KEYS}
        values |= {key: getattr(self, key) for key in VARIANT_KEYS if getattr(self, key) != getattr(PRESETS["v1"], key)}
        return {key: _to_lists(value) for key, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], num_mels: int = 80) -> GeneratorConfig:
        """Read the six keys of a checkpoint's `config`, and those of variants.

        Raises:
            InputError: a key is missing.
        """
        missing = [key for key in GENERATOR_KEYS if key not in values]
        if missing:
            raise InputError(f"generator configuration lacks {', '.join(missing)}")
        keys = (*GENERATOR_KEYS, *(key for key in VARIANT_KEYS if key in values))
        return cls(**{key: values[key] for key in keys}, num_mels=num_mels)


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig:
    """How discriminators differ between programs whose tensors have the same names. The defaults are this recipe's.

    Attributes:
        pool_padding: zeros at each end before the multi-scale discriminator averages: 1 in NVIDIA's recipe, 2 in the
            paper authors' program and most others.
        scale_strides: strides of the layers of each `ScaleDiscriminator`.
        period_last_kernel: kernel of the last layer of each `PeriodDiscriminator`.

    Raises:
        InputError: impossible values.
    """

    pool_padding: int = 1
    scale_strides: tuple[int, ...] = (1, 2, 2, 4, 4, 1, 1)
    period_last_kernel: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale_strides", tuple(self.scale_strides))
        strides_fit = len(self.scale_strides) == 7 and all(
            isinstance(stride, int) and 0 < stride <= 16 for stride in self.scale_strides
        )
        if self.pool_padding not in (0, 1, 2) or self.period_last_kernel not in (2, 3) or not strides_fit:
            raise InputError(f"discriminators of an unknown kind: {self}")

    def to_dict(self) -> dict[str, Any]:
        """Return the values that are not the recipe's, as plain values."""
        return {
            field.name: _to_lists(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DiscriminatorConfig:
        """Read what `to_dict` wrote.

        Raises:
            InputError: unknown or impossible values.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise InputError(f"discriminators of an unknown kind: {error}") from error


@dataclasses.dataclass(frozen=True)
class GeneratorInfo:
    """Description of a generator file.

    Attributes:
        path: the file.
        config: architecture, from the caller, the file, the JSON file beside it, or the tensor shapes.
        audio: signal contract, with LJSpeech's values for missing settings. The framing is "vocoder" unless the file
            records that the generator was fine-tuned half a hop apart (`--input-mels-framing`).
        train_setup: the file's `train_setup`, or empty.
        epoch: finished training epochs, or None if unknown.
        convention: how its mels differ from this project's beyond `audio`.
        output_rate: sampling rate of its audio in Hz, or None if it is that of the mels.
        program: the program that wrote the file, or empty for this one and the paper authors'.
    """

    path: Path
    config: GeneratorConfig
    audio: AudioConfig
    train_setup: dict[str, Any]
    epoch: int | None
    convention: MelConvention = OUR_MELS
    output_rate: int | None = None
    program: str = ""

    @property
    def contract(self) -> MelContract:
        """The mels that it takes."""
        return MelContract(self.audio, self.convention, self.train_setup.get("peak_normalised"), str(self.path))

    @property
    def sampling_rate(self) -> int:
        """Samples per second of the audio that it makes, in Hz."""
        return self.output_rate or self.audio.sampling_rate

    @property
    def output_audio(self) -> AudioConfig:
        """Settings of its audio: those of the mels, or the sampling rate and hop of what it makes."""
        if self.sampling_rate == self.audio.sampling_rate:
            return self.audio
        hop = self.config.hop_length
        return AudioConfig(self.sampling_rate, 5 * hop, hop, 5 * hop, self.audio.num_mels, mel_fmax=None)


def check_hop_length(config: GeneratorConfig, audio: AudioConfig, output_rate: int | None = None) -> None:
    """Raise `InputError` unless a generator makes a hop of samples from a frame.

    Args:
        config: architecture.
        audio: settings of its mels.
        output_rate: sampling rate of its audio in Hz, if it is not that of the mels.
    """
    rate = output_rate or audio.sampling_rate
    if audio.hop_length * rate != config.hop_length * audio.sampling_rate:
        wanted = f", {rate} / {audio.sampling_rate} of which it must be" if rate != audio.sampling_rate else ""
        raise InputError(
            f"the upsampling rates multiply to {config.hop_length}, but hop_length is {audio.hop_length}{wanted}"
        )


def _whole_numbers(values: Any) -> tuple[int, ...]:
    if isinstance(values, str):  # whose characters would be taken for numbers
        raise ValueError(f"{values!r} is not a list of whole numbers")
    return tuple(map(_whole_number, values))


def _whole_number(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value} is not a whole number")
    return int(value)


def _to_lists(value: Any) -> Any:
    return [_to_lists(item) for item in value] if isinstance(value, tuple) else value


PRESETS = {
    "v1": GeneratorConfig(),
    "v2": GeneratorConfig(upsample_initial_channel=128),
    "v3": GeneratorConfig(
        upsample_rates=(8, 8, 4),
        upsample_kernel_sizes=(16, 16, 8),
        upsample_initial_channel=256,
        resblock="2",
        resblock_kernel_sizes=(3, 5, 7),
        resblock_dilation_sizes=((1, 2), (2, 6), (3, 12)),
    ),
}


def read_config_file(path: str | Path) -> tuple[GeneratorConfig, dict[str, Any]]:
    """Read a JSON file with the six generator keys, ours or the paper authors', or return the preset v1, v2, or v3.

    Returns:
        The configuration, and the file's signal settings under our names (`sampling_rate`, `hop_length`, ...).
        Keys of the authors' files that describe only training are ignored. Other unknown keys are listed in the log.

    Raises:
        FileNotFoundError: no such file.
        InputError: not JSON, or generator keys missing or contradictory.
    """
    if preset := PRESETS.get(str(path).lower()):
        return preset, {}
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such configuration file, and not v1, v2 or v3 (--hifigan-config)")
    values = read_json(path)
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object with the keys {', '.join(GENERATOR_KEYS)}")
    known_signal = {**SIGNAL_KEYS, **{name: name for name in SIGNAL_KEYS.values()}}
    signal = {name: values[key] for key, name in known_signal.items() if key in values}
    ignored = sorted(values.keys() - known_signal.keys() - set(GENERATOR_KEYS) - TRAINING_KEYS)
    if ignored:
        log.info("%s: unknown keys are ignored: %s", path, ", ".join(ignored))
    try:
        return GeneratorConfig.from_dict(values, signal.get("num_mels", 80)), signal
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
