"""The generator as kernels of `hifigan.gpu.row_convolutions`: one per convolution, 78 for V1.

The true length of each utterance is an argument that the kernels read on the GPU, so that padding neither costs time
nor affects the result, and a CUDA graph serves all shorter lengths.

Shapes: B batch, M mel bands, L frames, T samples, N columns of a layer's products, k taps.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.machine.precision import DTYPES
from hifigan.generator import Generator, ResBlock1
from hifigan.gpu.row_convolutions import CHANNEL_STEP

SLOPE = 0.1  # of the activation, see `hifigan.generator.activate`
NO_SLOPE = 1.0


@dataclasses.dataclass(frozen=True)
class _Rate:
    """Rows of a signal: `scale` per frame, and `shift` at the end of an utterance."""

    scale: int
    shift: int

    def rows(self, frames: int) -> int:
        return frames * self.scale + self.shift


class RowGenerator:
    """Mel and lengths -> wav, on weights prepared once.

    The first two layers and the last one run in fp32, as in `VocoderModule`. If the rest runs in 16 bits, the first two
    multiply by three products of TF32, which is as exact as fp32 but for the last bit or two.

    Args:
        generator: in evaluation mode, weight norm removed. It is not changed.
        precision: "fp32", "tf32" (fp32 with products rounded to 11 bits), "fp16" or "bf16".
    """

    def __init__(self, generator: Generator, precision: str) -> None:
        config = generator.config
        dtype = DTYPES.get(precision, torch.float32)
        self._products = {"fp32": "ieee", "tf32": "tf32"}.get(precision, "tf32x3")
        self._reflect = config.padding == "reflect"
        self._normalise = generator.normalise
        self._pre = Convolution(generator.conv_pre, torch.float32)
        self._ups = [
            Convolution(up, torch.float32 if number == 0 else dtype) for number, up in enumerate(generator.ups)
        ]
        fusions: Any = generator.resblocks
        self._blocks = [[_block(block, dtype) for block in blocks] for blocks in fusions]
        post = Convolution(generator.conv_post, torch.float32)
        self._last_weight = post.weight[:, 0].unflatten(0, (post.taps, -1)).contiguous()  # [k, C], of one output
        self._last_bias = post.bias
        self._dtype = dtype
        self._rates = [_Rate(1, 0)]
        for up in self._ups:
            before = self._rates[-1]
            self._rates.append(_Rate(before.scale * up.rate, before.shift * up.rate + up.surplus))

    @torch.inference_mode()
    def __call__(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Run all layers.

        Args:
            mel: [B, M, L], float32. Values behind the end of an utterance do not matter.
            lengths: frames of each utterance, [B], int32, at most L, on the GPU. 0 marks a row without utterance.

        Returns:
            wav [B, T], float32, in [-1, 1], zero behind the end of an utterance.
        """
        frames = mel.size(2)
        rows = _as_rows(self._normalise(mel))
        x = self._run(self._pre, rows, lengths, frames, self._rates[:1] * 2, slope=SLOPE)
        for number, (up, blocks) in enumerate(zip(self._ups, self._blocks, strict=True)):
            x = self._run(up, x, lengths, frames, self._rates[number : number + 2])
            if number == 0:
                x = x.to(self._dtype)
            is_last = number == len(self._ups) - 1
            x = self._fusion(blocks, x, lengths, frames, self._rates[number + 1], NO_SLOPE if is_last else SLOPE)
        last = self._rates[-1]
        return torch.ops.hifigan.last_layer(
            x, self._last_weight, self._last_bias, lengths, [last.scale, last.shift], self._reflect
        )

    def _fusion(self, blocks: Any, x: Tensor, lengths: Tensor, frames: int, rate: _Rate, slope: float) -> Tensor:
        """Return the mean of the residual blocks, activated with `slope`."""
        rates = [rate, rate]
        total: Tensor | None = None
        for number, pairs in enumerate(blocks):
            y = x
            for position, (first, second) in enumerate(pairs):
                ends = position == len(pairs) - 1
                finishes = ends and number == len(blocks) - 1
                if second is None:
                    last, inputs = first, y
                else:
                    last = second
                    inputs = self._run(first, y, lengths, frames, rates, activate=True, slope=SLOPE)
                y = self._run(
                    last,
                    inputs,
                    lengths,
                    frames,
                    rates,
                    residual=y,
                    total=total if ends else None,
                    factor=1 / len(blocks) if finishes else 1.0,
                    slope=slope if finishes else NO_SLOPE,
                    activate=second is None,
                )
            total = y
        assert total is not None
        return total

    def _run(
        self,
        layer: Convolution,
        x: Tensor,
        lengths: Tensor,
        frames: int,
        rates: list[_Rate],
        residual: Tensor | None = None,
        total: Tensor | None = None,
        factor: float = 1.0,
        slope: float = NO_SLOPE,
        activate: bool = False,
    ) -> Tensor:
        before, after = rates
        return torch.ops.hifigan.convolve_rows(
            x,
            layer.weight,
            layer.bias,
            residual,
            total,
            lengths,
            after.rows(frames),
            [before.scale, before.shift, after.scale, after.shift],
            [layer.taps, layer.dilation, layer.padding, layer.rate, layer.cut],
            factor,
            slope,
            activate,
            self._reflect and layer.rate == 1,
            self._products,
        )


class Convolution:
    """A convolution's weights and shape, as the kernel takes them. A transposed one becomes its equal with `rate`.

    Attributes:
        weight: [k * C, N], channels padded with zeros.
        bias: [N], float32.
        taps, dilation, padding: of the rows of the input.
        rate: rows of the output per row of the input.
        cut: rows of the output that are cut off at the beginning.
        surplus: rows of the output beyond `rate` per row, at the end of an utterance.
    """

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        weight = layer.weight.detach().float()
        size, padding = layer.kernel_size[0], int(layer.padding[0])
        self.rate = self.dilation = 1
        self.cut = self.surplus = 0
        if isinstance(layer, nn.ConvTranspose1d):
            self.rate, self.cut = layer.stride[0], padding
            self.surplus = size - self.rate - 2 * padding + layer.output_padding[0]
            self.taps = -(-size // self.rate)
            # Tap j of the last ones adds the row j places before to the outputs r * j, r * j + 1, ...: [C, O, j, r].
            weight = F.pad(weight, (0, self.taps * self.rate - size)).unflatten(2, (self.taps, self.rate)).flip(2)
            weight = weight.permute(2, 0, 3, 1)  # [k, C, r, O]
            self.padding = self.taps - 1
        else:
            self.taps, self.dilation, self.padding = size, layer.dilation[0], padding
            weight = weight.permute(2, 1, 0)[:, :, None]
        outputs = weight.size(3)
        bias = weight.new_zeros(outputs) if layer.bias is None else layer.bias.detach().float()
        missing = -outputs % CHANNEL_STEP
        weight = F.pad(weight, (0, missing, 0, 0, 0, -weight.size(1) % CHANNEL_STEP))
        self.bias = F.pad(bias, (0, missing)).repeat(self.rate)
        self.weight = weight.flatten(0, 1).flatten(1).to(dtype).contiguous()


def _block(block: Any, dtype: torch.dtype) -> list[tuple[Convolution, Convolution | None]]:
    """Return the pairs of convolutions of a residual block, or single ones, between its sums."""
    if isinstance(block, ResBlock1):
        pairs = zip(block.convs1, block.convs2, strict=True)
        return [(Convolution(first, dtype), Convolution(second, dtype)) for first, second in pairs]
    return [(Convolution(conv, dtype), None) for conv in block.convs]


def _as_rows(mel: Tensor) -> Tensor:
    """Mel [B, M, L] -> rows [B, L, M], M padded to a multiple of the kernels' step."""
    missing = -mel.size(1) % CHANNEL_STEP
    return (F.pad(mel, (0, 0, 0, missing)) if missing else mel).transpose(1, 2).contiguous()
