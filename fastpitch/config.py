"""Configuration of FastPitch: the keys of every published v1.1 checkpoint. Description of a file."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.audio_config import AudioConfig
from common.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor  # its import takes seconds

log = logging.getLogger(__name__)
MOST_PARAMETERS = 1 << 28  # 1 GiB; the published models have 46 million
MOST_LAYERS = 200  # of each part; published models have 6
LARGEST_SIZE = 2**20  # of symbols, speakers, widths and kernels
PUBLISHED_HEAD = 64  # width of an attention head in every published model; shapes show only heads x width


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
    """Stack of feed-forward transformer layers (paper section 2.1). Dropouts are probabilities."""

    n_layers: int
    n_heads: int
    d_head: int
    kernel_size: int
    filter_size: int
    dropout: float
    attention_dropout: float
    embedding_dropout: float


@dataclasses.dataclass(frozen=True)
class PredictorConfig:
    """Predictor of one value per symbol: duration, pitch or energy (paper section 2.1)."""

    n_layers: int
    kernel_size: int
    filter_size: int
    dropout: float


@dataclasses.dataclass(frozen=True)
class FastPitchConfig:
    """Architecture of FastPitch (arXiv:2006.06873, section 2.1), by default of the LJSpeech recipe.

    Field names are the keys of published checkpoints: `in_fft_*` is the encoder, `out_fft_*` the decoder, and `p_*` are
    dropout probabilities in [0, 1).

    Attributes:
        n_mel_channels: mel bands of the output.
        n_symbols: size of the symbol set. Ids are 0 to n_symbols - 1.
        padding_idx: the id that pads short texts of a batch.
        symbols_embedding_dim: width of the model, repeated by `in_fft_output_size` and `out_fft_output_size`.
        energy_conditioning: predict energy and condition the decoder on it.
        n_speakers: number of voices. With more than one there is a speaker embedding.
        speaker_emb_weight: factor of the speaker embedding.

    Raises:
        InputError: an invalid value, or contradictory values.
    """

    n_mel_channels: int = 80
    n_symbols: int = 148
    padding_idx: int = 0
    symbols_embedding_dim: int = 384
    in_fft_n_layers: int = 6
    in_fft_n_heads: int = 1
    in_fft_d_head: int = 64
    in_fft_conv1d_kernel_size: int = 3
    in_fft_conv1d_filter_size: int = 1536
    in_fft_output_size: int = 384
    p_in_fft_dropout: float = 0.1
    p_in_fft_dropatt: float = 0.1
    p_in_fft_dropemb: float = 0.0
    out_fft_n_layers: int = 6
    out_fft_n_heads: int = 1
    out_fft_d_head: int = 64
    out_fft_conv1d_kernel_size: int = 3
    out_fft_conv1d_filter_size: int = 1536
    out_fft_output_size: int = 384
    p_out_fft_dropout: float = 0.1
    p_out_fft_dropatt: float = 0.1
    p_out_fft_dropemb: float = 0.0
    dur_predictor_kernel_size: int = 3
    dur_predictor_filter_size: int = 256
    p_dur_predictor_dropout: float = 0.1
    dur_predictor_n_layers: int = 2
    pitch_predictor_kernel_size: int = 3
    pitch_predictor_filter_size: int = 256
    p_pitch_predictor_dropout: float = 0.1
    pitch_predictor_n_layers: int = 2
    pitch_embedding_kernel_size: int = 3
    energy_conditioning: bool = True
    energy_predictor_kernel_size: int = 3
    energy_predictor_filter_size: int = 256
    p_energy_predictor_dropout: float = 0.1
    energy_predictor_n_layers: int = 2
    energy_embedding_kernel_size: int = 3
    n_speakers: int = 1
    speaker_emb_weight: float = 1.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, _checked(field.name, type(field.default), value))
        if not 0 <= self.padding_idx < self.n_symbols:
            raise InputError(
                f"FastPitch configuration: padding_idx {self.padding_idx} is not one of {self.n_symbols} symbols"
            )
        widths = (self.symbols_embedding_dim, self.in_fft_output_size, self.out_fft_output_size)
        if len(set(widths)) > 1 or widths[0] % 2:
            raise InputError(
                "FastPitch configuration: symbols_embedding_dim, in_fft_output_size and out_fft_output_size "
                f"must be one even number, not {widths}"
            )
        if self.num_parameters > MOST_PARAMETERS:  # the file is damaged, or a trap
            raise InputError(
                f"FastPitch configuration: it has {self.num_parameters:,} parameters, more than {MOST_PARAMETERS:,}"
            )

    @property
    def num_parameters(self) -> int:
        """Parameters without the aligner, biases and norms."""
        width = self.symbols_embedding_dim
        count = width * (self.n_symbols + self.n_speakers + self.n_mel_channels)
        for stack in (self.encoder, self.decoder):
            heads = stack.n_heads * stack.d_head
            count += stack.n_layers * (4 * width * heads + 2 * stack.kernel_size * width * stack.filter_size)
        for predictor in map(self.predictor, ("dur", "pitch", "energy")):
            count += predictor.kernel_size * predictor.filter_size * width
            count += (predictor.n_layers - 1) * predictor.kernel_size * predictor.filter_size**2
        return count + width * (self.pitch_embedding_kernel_size + self.energy_embedding_kernel_size)

    @property
    def encoder(self) -> TransformerConfig:
        return self._transformer("in_fft")

    @property
    def decoder(self) -> TransformerConfig:
        return self._transformer("out_fft")

    def _transformer(self, side: str) -> TransformerConfig:
        return TransformerConfig(
            n_layers=getattr(self, f"{side}_n_layers"),
            n_heads=getattr(self, f"{side}_n_heads"),
            d_head=getattr(self, f"{side}_d_head"),
            kernel_size=getattr(self, f"{side}_conv1d_kernel_size"),
            filter_size=getattr(self, f"{side}_conv1d_filter_size"),
            dropout=getattr(self, f"p_{side}_dropout"),
            attention_dropout=getattr(self, f"p_{side}_dropatt"),
            embedding_dropout=getattr(self, f"p_{side}_dropemb"),
        )

    def predictor(self, name: str) -> PredictorConfig:
        """Return the predictor called "dur", "pitch" or "energy" in the keys."""
        return PredictorConfig(
            n_layers=getattr(self, f"{name}_predictor_n_layers"),
            kernel_size=getattr(self, f"{name}_predictor_kernel_size"),
            filter_size=getattr(self, f"{name}_predictor_filter_size"),
            dropout=getattr(self, f"p_{name}_predictor_dropout"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a checkpoint's `config`: plain ints, floats and one bool."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], shown: Mapping[str, Any] | None = None) -> FastPitchConfig:
        """Read a checkpoint's `config`.

        Keys of other versions are logged and ignored. Anything they add to the model shows in its tensors.

        Args:
            values: the configuration, empty in some published files.
            shown: keys that the tensors show (`config_of_tensors`), for those that are missing. The rest are
                the published models'. Without it, all keys must be there.

        Raises:
            InputError: missing keys or invalid values.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in names if name not in values]
        if missing and shown is None:
            raise InputError(f"FastPitch configuration lacks {', '.join(missing)}")
        if missing and shown is not None:
            what = f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}" if values else "any configuration"
            log.info("FastPitch checkpoint without %s: taken from its tensors and from published models", what)
            values = {**{field.name: field.default for field in dataclasses.fields(cls)}, **shown, **values}
        unknown = sorted(str(key) for key in values.keys() - set(names))
        if unknown:
            log.warning("FastPitch configuration: unknown keys are ignored: %s", ", ".join(unknown))
        return cls(**{name: values[name] for name in names})


@dataclasses.dataclass(frozen=True)
class FastPitchInfo:
    """Contents of a FastPitch file besides the weights.

    Attributes:
        path: the file.
        config: architecture.
        audio: signal contract of its mels ("tacotron" framing), with LJSpeech defaults for values the file lacks.
        train_setup: the file's `train_setup` (symbol set, text cleaners, p_arpabet, ...), empty if it has none.
        epoch: finished training epochs, or None if unknown.
        has_aligner: whether the file has the aligner, which teacher forcing needs.
    """

    path: Path
    config: FastPitchConfig
    audio: AudioConfig
    train_setup: dict[str, Any]
    epoch: int | None
    has_aligner: bool


def _checked(name: str, kind: Any, value: Any) -> Any:
    """Return `value` as `kind`. Raise `InputError` for another type, or out of the range that the name implies."""
    try:
        plain = kind(value)
        fits = plain == value  # accept 1 for True and 384.0 for 384, but not 0.5 for 1
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise InputError(f"FastPitch configuration: {name} is {value!r}, not {kind.__name__}")
    problem = ""
    if name.startswith("p_") and not 0 <= plain < 1:
        problem = "not a probability below 1"
    elif kind is int and name != "padding_idx" and plain < 1:
        problem = "must be above 0"
    elif kind is int and plain > (most := MOST_LAYERS if name.endswith("n_layers") else LARGEST_SIZE):
        problem = f"the limit is {most}"
    elif name.endswith("kernel_size") and plain % 2 == 0:
        problem = "must be odd"
    if problem:
        raise InputError(f"FastPitch configuration: {name} is {plain}, {problem}")
    return plain


def config_of_tensors(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the keys of `FastPitchConfig` that the tensors show. Dropouts and factors are not among them."""
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    found: dict[str, Any] = {
        "energy_conditioning": "energy_emb.weight" in shapes,
        "n_speakers": (shapes.get("speaker_emb.weight") or (1,))[0],
    }
    named: tuple[tuple[str, tuple[str | None, ...]], ...] = (
        ("encoder.word_emb.weight", ("n_symbols", "symbols_embedding_dim")),
        ("proj.weight", ("n_mel_channels", "out_fft_output_size")),
        ("pitch_emb.weight", (None, None, "pitch_embedding_kernel_size")),
        ("energy_emb.weight", (None, None, "energy_embedding_kernel_size")),
    )
    for name, keys in named:
        found |= _named(shapes.get(name, ()), keys)
    if "symbols_embedding_dim" in found:
        found["in_fft_output_size"] = found["symbols_embedding_dim"]
    for part, side in (("encoder", "in_fft"), ("decoder", "out_fft")):
        found |= _transformer(shapes, part, side)
    for part, name in (("duration", "dur"), ("pitch", "pitch"), ("energy", "energy")):
        of_layer = (f"{name}_predictor_filter_size", None, f"{name}_predictor_kernel_size")
        found |= _named(shapes.get(f"{part}_predictor.layers.0.conv.weight", ()), of_layer)
        if layers := _layers(shapes, f"{part}_predictor"):
            found[f"{name}_predictor_n_layers"] = layers
    return found


def _transformer(shapes: Mapping[str, tuple[int, ...]], part: str, side: str) -> dict[str, Any]:
    keys = (f"{side}_conv1d_filter_size", None, f"{side}_conv1d_kernel_size")
    found = _named(shapes.get(f"{part}.layers.0.pos_ff.CoreNet.0.weight", ()), keys)
    if layers := _layers(shapes, part):
        found[f"{side}_n_layers"] = layers
    width = (shapes.get(f"{part}.layers.0.dec_attn.o_net.weight") or (0,))[-1]
    if width:
        heads = max(1, width // PUBLISHED_HEAD) if width % PUBLISHED_HEAD == 0 else 1
        found |= {f"{side}_n_heads": heads, f"{side}_d_head": width // heads}
    return found


def _layers(shapes: Mapping[str, tuple[int, ...]], part: str) -> int:
    return len({found[1] for name in shapes if (found := re.match(rf"{part}\.layers\.(\d+)\.", name))})


def _named(shape: tuple[int, ...], keys: tuple[str | None, ...]) -> dict[str, int]:
    return {key: size for key, size in zip(keys, shape, strict=False) if key}
