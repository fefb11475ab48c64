"""The HiFi-GAN generator (paper section 2.2).

Shapes: B batch, M mel bands, L frames, T = L * hop_length samples, C channels.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.audio_config import AudioConfig, MelConvention
from common.errors import InputError
from common.files.checkpoints import check_tensors
from common.files.generators import shapes
from common.files.generators.file import GeneratorFile, State, public_names
from common.files.generators.read import parse_or_refuse
from common.mel_contract import MelContract
from common.pretrained import PretrainedModel, unknown_settings
from hifigan.config import GeneratorConfig, GeneratorInfo, check_hop_length, read_config_file
from hifigan.layers import WeightNormConv1d, WeightNormConvTranspose1d, match_weight_norm, remove_weight_norm

log = logging.getLogger(__name__)

GivenConfig = GeneratorConfig | Mapping[str, Any] | str | Path | None


def activate(x: Tensor) -> Tensor:
    """Apply the activation before every layer except the first and the last: leaky ReLU with slope 0.1."""
    return F.leaky_relu(x, 0.1)


def _same_conv(channels: int, kernel_size: int, dilation: int = 1, mode: str = "zeros") -> WeightNormConv1d:
    padding = dilation * (kernel_size - 1) // 2
    return WeightNormConv1d(channels, channels, kernel_size, padding=padding, dilation=dilation, padding_mode=mode)


class ResBlock1(nn.Module):
    """Residual block 1: per dilation, a dilated and a plain convolution, then the sum."""

    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int], mode: str = "zeros") -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_same_conv(channels, kernel_size, dilation, mode) for dilation in dilations)
        self.convs2 = nn.ModuleList(_same_conv(channels, kernel_size, 1, mode) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for dilated, plain in zip(self.convs1, self.convs2):  # noqa: B905 (TorchScript's zip has no `strict`)
            x = x + plain(activate(dilated(activate(x))))
        return x


class ResBlock2(nn.Module):
    """Residual block 2: one convolution per dilation, then the sum."""

    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int], mode: str = "zeros") -> None:
        super().__init__()
        self.convs = nn.ModuleList(_same_conv(channels, kernel_size, dilation, mode) for dilation in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = x + conv(activate(x))
        return x


class ReceptiveFieldFusion(nn.ModuleList):
    """Mean of parallel residual blocks with different kernels and dilations (MRF, paper section 2.2)."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__(blocks)
        self.num_blocks = len(blocks)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor | None = None
        for block in self:
            y = block(x)
            if total is None:
                total = y
            else:
                total = total + y
        assert total is not None
        return total / self.num_blocks


class MelNormalisation(nn.Module):
    """Subtracts a mean from each band and divides by a scale. Both are stored, not learned.

    It cannot be folded into the first layer, whose padding follows it.
    """

    def __init__(self, num_mels: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(num_mels))
        self.register_buffer("scale", torch.ones(num_mels))

    def forward(self, mel: Tensor) -> Tensor:
        """mel [B, M, L] -> [B, M, L]."""
        return (mel - self.mean[:, None]) / self.scale[:, None]


class Generator(PretrainedModel):
    """Converts a log-mel spectrogram [B, M, L] to a waveform [B, 1, T] in [-1, 1].

    Attributes:
        config: architecture.
        info: description of the file that it was loaded from, with the settings of its mels (`info.audio`), or None.
    """

    STATE = "generator"
    TITLE = "HiFi-GAN generator: mel spectrogram to speech"
    fused = False  # whether convolutions are finished by `hifigan.gpu.activation`, for training on GPUs
    __jit_unused_properties__ = ("device",)  # TorchScript cannot compile it: the bias is optional to it

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.info: GeneratorInfo | None = None
        self.num_mels = config.num_mels
        channels = config.upsample_initial_channel
        block = ResBlock1 if config.resblock == "1" else ResBlock2
        mode = config.padding
        self.normalise = MelNormalisation(config.num_mels) if config.normalised_input else nn.Identity()
        self.conv_pre = WeightNormConv1d(config.num_mels, channels, 7, padding=3, padding_mode=mode)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        for rate, kernel, (padding, output_padding) in zip(
            config.upsample_rates, config.upsample_kernel_sizes, config.upsample_paddings, strict=True
        ):
            up = WeightNormConvTranspose1d(
                channels, channels // 2, kernel, rate, padding=padding, output_padding=output_padding
            )
            self.ups.append(up)
            channels //= 2
            shapes = zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
            self.resblocks.append(
                ReceptiveFieldFusion([block(channels, size, dilations, mode) for size, dilations in shapes])
            )
        self.conv_post = WeightNormConv1d(channels, 1, 7, padding=3, padding_mode=mode, bias=config.output_bias)

    @property
    def device(self) -> torch.device:
        return self.conv_pre.bias.device

    def forward(self, mel: Tensor) -> Tensor:
        """mel [B, M, L] -> wav [B, 1, T].

        Raises:
            ValueError: the mel has another shape.
        """
        if mel.dim() != 3 or mel.size(1) != self.num_mels or mel.size(2) == 0:
            raise ValueError(f"generator: expected a mel of shape [B, {self.num_mels}, L], got {list(mel.shape)}")
        if torch.jit.is_scripting():
            wav = self.output(self.hidden(mel))
        else:
            x = self._fused_layers(mel) if self.fused else self.hidden(mel)
            # In fp32 even under autocast: the 8 bits of bf16 samples would be audible as noise.
            with torch.autocast(x.device.type, enabled=False):
                wav = torch.tanh(self.conv_post(x)) if self.fused else self.output(x.float())
        return wav

    def hidden(self, mel: Tensor) -> Tensor:
        """mel [B, M, L] -> the last layer's input, [B, C, T]."""
        return self.refined(self.upsampled(mel))

    def upsampled(self, mel: Tensor) -> Tensor:
        """Run the first two layers: mel [B, M, L] -> [B, C, L * first rate].

        They determine the phase of everything after them, at less than 1 % of the work. If the rest runs in 16 bits,
        these should run in fp32: for V1 in bf16, this raises the SNR on speech from 25 to 38 dB.
        """
        return self.ups[0](activate(self.conv_pre(self.normalise(mel))))

    def refined(self, x: Tensor) -> Tensor:
        """Run all layers between `upsampled` and `output`: [B, C, L * first rate] -> [B, C', T]."""
        for number, (up, blocks) in enumerate(zip(self.ups, self.resblocks)):  # noqa: B905
            if number > 0:
                x = up(activate(x))
            x = blocks(x)
        return x

    def output(self, x: Tensor) -> Tensor:
        """Run the last layer: [B, C, T] -> wav [B, 1, T]."""
        # Its activation has PyTorch's default slope, 0.01, with which every published checkpoint was trained.
        return torch.tanh(self.conv_post(F.leaky_relu(x)))

    @torch.jit.unused
    def _fused_layers(self, mel: Tensor) -> Tensor:
        """Run all layers before the last one and its activation: mel [B, M, L] -> [B, C, T] in fp32."""
        from hifigan.gpu import generator_layers  # imports Triton

        return generator_layers.run(self.normalise(mel), self.conv_pre, self.ups, self.resblocks)

    def remove_weight_norm(self) -> None:
        """Fold weight norm into plain weights, for inference."""
        self.fused = False
        remove_weight_norm(self)

    @classmethod
    def from_state(cls, config: GeneratorConfig, state: Mapping[str, Tensor], trainable: bool = False) -> Generator:
        """Build a generator of these tensors, under the public names. Nothing is allocated for tensors that do not fit.

        Args:
            config: the architecture.
            state: plain or weight-normed tensors.
            trainable: keep weight norm, instead of folding it into plain weights.

        Raises:
            InputError: lists missing, extra, and misshapen tensors.
        """
        try:
            with torch.device("meta"):
                expected = cls(config).state_dict()
        except (RuntimeError, TypeError, OverflowError) as error:
            raise InputError("generator configuration: numbers that are too large for PyTorch") from error
        check_tensors(match_weight_norm(state, expected), expected, cls.__name__)
        generator = cls(config)
        if not trainable:
            generator.remove_weight_norm()  # first, so that plain weights are loaded as they are
        generator.load_state_dict(match_weight_norm(state, generator.state_dict()))
        return generator

    @classmethod
    def from_file(cls, file: GeneratorFile, config: GivenConfig = None, trainable: bool = False) -> Generator:
        """Build a generator from the file of any program.

        Args:
            file: from `common.files.generators.read`.
            config: architecture, if the file does not tell, see `hifigan.checkpoint.load_generator`.
            trainable: keep weight norm.

        Raises:
            InputError: an unknown or impossible architecture, or tensors that do not fit.
        """
        chosen, audio, setup = find_config(file, config)
        state = nest_resblocks(public_names(file.state), len(chosen.resblock_kernel_sizes))
        generator = cls.from_state(chosen, state, trainable)
        for note in file.notes:
            log.info("%s: %s", file.path, note)
        convention, rate = MelConvention.from_dict(setup), setup.get("output_sampling_rate")
        generator.info = GeneratorInfo(file.path, chosen, audio, file.setup, file.epoch, convention, rate, file.program)
        return generator

    @classmethod
    def from_checkpoint(cls, file: Path, content: Mapping[str, Any], trainable: bool = False) -> Generator:
        return cls.from_file(parse_or_refuse(file, content), trainable=trainable)

    def _checkpoint_values(self, setup: Mapping[str, Any] | None) -> dict[str, Any]:
        if setup is None and self.info is None:
            raise unknown_settings(self)
        known = {} if self.info is None else {**self.info.train_setup, **self.info.contract.to_dict()}
        values = {**known, **(setup or {})}
        contract = MelContract.from_dict(values, num_mels=self.num_mels)
        check_hop_length(self.config, contract.audio, values.get("output_sampling_rate"))
        epoch = None if self.info is None else self.info.epoch
        return {
            "config": self.config.to_dict(),
            "train_setup": {**values, **contract.to_dict()},
            **({} if epoch is None else {"train_state": {"epoch": epoch}}),
        }


def nest_resblocks(state: State, blocks_per_stage: int) -> State:
    """Convert the paper authors' numbering: `resblocks.7.convs...` -> `resblocks.2.1.convs...`."""

    def rename(match: re.Match[str]) -> str:
        stage, block = divmod(int(match[1]), blocks_per_stage)
        return f"resblocks.{stage}.{block}.convs"

    return {re.sub(r"^resblocks\.(\d+)\.convs", rename, key): value for key, value in state.items()}


def find_config(file: GeneratorFile, given: GivenConfig) -> tuple[GeneratorConfig, AudioConfig, dict[str, Any]]:
    """Return architecture and signal settings: the caller's, else the file's, else those beside it, else by shapes.

    Returns:
        The architecture, the signal settings of the mels, and all settings.
    """
    setup = file.setup
    in_file = GeneratorConfig.from_dict(file.config, setup.get("num_mels", file.num_mels)) if file.config else None
    config = in_file
    if isinstance(given, GeneratorConfig):
        config = given
    elif isinstance(given, Mapping):
        config = GeneratorConfig.from_dict(given, given.get("num_mels", file.num_mels))
    elif given is not None:
        config, signal = read_config_file(given)
        setup = {**signal, **setup}
    if in_file is not None and config != in_file:
        raise InputError(f"{file.path}: the given generator configuration contradicts the checkpoint's own")
    if config is None and file.config_beside is not None:
        config, setup = read_config_file(file.config_beside)
    if config is None:
        config = _recognise(file)
    audio = AudioConfig.from_dict({**setup, "num_mels": config.num_mels}, framing=file.framing)
    check_hop_length(config, audio, setup.get("output_sampling_rate"))
    return config, audio, setup


def _recognise(file: GeneratorFile) -> GeneratorConfig:
    """Return the architecture of a published family whose tensors have the file's shapes."""
    nested = any(re.match(r"resblocks\.\d+\.\d+\.convs", key) for key in file.state)
    values = shapes.config_of(file.state, nested)
    if values is None:
        raise InputError(
            f"{file.path}: no generator configuration in the file or beside it (config.json), and its tensors do not "
            "match V1, V2 or V3; give one with --hifigan-config FILE.json"
        )
    return GeneratorConfig.from_dict(values, file.num_mels)
