"""The generator as processors run it fastest: the same network, its work in another order.

What costs time beside the arithmetic is memory, and convolutions of a few channels. So each stage (upsampling and
residual blocks) runs on tiles of time that stay in the cache, several at a time on as many threads: on oneDNN's
convolutions (`cpu_onednn.py`), in C (`cpu_c.py`), which wins in fp32 where channels are few, or in C on the matrix
units that some processors have (`cpu_amx.py`), which wins in bf16.

In bf16, samples of 8 bits enter the arithmetic, whose sums are fp32. What happens at the rate of frames decides about
the phase of everything after it and stays in fp32, at less than 1 % of the work; so do stages of few channels (all of
V2's but one). On matrix units, what would be fp32 within a stage has 16 bits instead. The last layer makes samples that
are heard and stays in fp32. In tf32 all stages have 16 bits; any whose widths do not fit the units stays in fp32.

Shapes: M mel bands, L frames, T samples, C channels.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from common.machine.thread_pool import for_each
from hifigan.engine.cpu_amx import MatrixStage, suits_matrix
from hifigan.engine.cpu_c import LEAD, SLOPE, ChannelLayer, ChannelStage, Signal, suits
from hifigan.engine.cpu_onednn import RowConvolution, RowLayer, RowOutput, RowStage, image
from hifigan.engine.native import vector
from hifigan.generator import Generator

LAST_SLOPE = 0.01  # of the leaky ReLU before the last layer
# In bf16, V2 fails the quality gate (35 dB of SNR on speech, mel loss within 0.5 %) unless these stages are more exact:
WIDE = 128  # the first one, if it has fewer channels; its errors go through all others
BROAD = 32  # any with fewer channels: too few to average out the noise, which fills the quiet high bands


class CpuEngine:
    """A generator's weights, laid out for a processor; they are copied.

    Args:
        generator: on the CPU, in evaluation mode, weight norm removed.
        precision: "fp32", "tf32" (fp32 whose products are of 16 bits, on matrix units), or "bf16" (where that is exact
            enough).
    """

    def __init__(self, generator: Generator, precision: str = "fp32") -> None:
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        ups: Any = generator.ups
        fusions: Any = generator.resblocks
        narrow = ups[0].out_channels < WIDE
        self._stages: list[RowStage | ChannelStage | MatrixStage] = []
        scale, samples = 1.0, 1
        for number, (up, blocks) in enumerate(zip(ups, fusions, strict=True)):
            few = up.out_channels < BROAD
            inner = torch.float32 if few or (narrow and number == 0) else dtype
            outer = torch.float32 if few or number <= int(narrow) else dtype
            samples *= up.stride[0]
            slope = SLOPE if number < len(ups) - 1 else LAST_SLOPE
            exact = outer is torch.float32, inner is torch.float32
            if precision != "fp32" and suits_matrix(up, exact, samples):
                self._stages.append(MatrixStage(up, blocks, exact, scale, samples, slope))
            elif inner is torch.float32 and suits(up):
                self._stages.append(ChannelStage(up, blocks, scale, slope))
            else:
                self._stages.append(RowStage(up, blocks, inner, outer, scale, samples, slope))
            scale = 1 / len(blocks)  # the mean over the blocks, taken by the layer behind: activations let it through
        # Each in the layout of its neighbour.
        pre: Any = generator.conv_pre
        post: Any = generator.conv_post
        self._pre: RowLayer | ChannelLayer
        self._post: RowOutput | ChannelLayer
        if isinstance(self._stages[0], ChannelStage):
            self._pre = ChannelLayer(pre.weight, pre.bias, SLOPE)
        else:
            self._pre = RowLayer(pre, SLOPE)
        if isinstance(self._stages[-1], ChannelStage):
            self._post = ChannelLayer(post.weight * scale, post.bias)
        else:
            self._post = RowOutput(post, scale, samples)

    @torch.inference_mode()
    def __call__(self, mel: Tensor) -> Tensor:
        """mel [B, M, L], float32 -> wav [B, T], float32, in [-1, 1]; one after the other."""
        return torch.stack([self._alone(clip) for clip in mel])

    def _alone(self, mel: Tensor) -> Tensor:
        x: Tensor | Signal = mel.t()
        for layer in (self._pre, *self._stages, self._post):
            x = (
                layer(_rows_of(x))
                if isinstance(layer, RowLayer | RowStage | MatrixStage | RowOutput)
                else layer(_signal_of(x))
            )
        return (x.inner[0] if isinstance(x, Signal) else x).tanh()


def _rows_of(x: Tensor | Signal) -> Tensor:
    """The same as rows [T, C]."""
    return (x.inner.t() if isinstance(x, Signal) else x).contiguous()


def _signal_of(x: Tensor | Signal) -> Signal:
    """The same with a row for each channel."""
    return x if isinstance(x, Signal) else Signal.of(x.t().contiguous())  # converting rows as well would be slower


def speed_up_of_bf16() -> float:
    """Time in fp32 over time in bf16 of a convolution as in the middle of V1, on all threads; some milliseconds."""
    channels, samples = 64, 2048
    weight, bias = torch.zeros(channels, channels, 7), torch.zeros(channels)
    rows = {dtype: image(torch.zeros(samples, channels, dtype=dtype)) for dtype in (torch.float32, torch.bfloat16)}
    ways: dict[torch.dtype, Callable[[], object]] = {
        dtype: functools.partial(RowConvolution(weight, bias, dtype), x) for dtype, x in rows.items()
    }
    if vector.library():
        x, y = torch.zeros(2, channels, samples + 2 * LEAD)
        ways[torch.float32] = functools.partial(vector.Convolution(weight, bias), x, 0, samples, y, 0, SLOPE)
    shortest = dict.fromkeys(ways, math.inf)
    for number in range(5):  # in turn, as the machine may be shared; the first call compiles
        for dtype, way in ways.items():
            began = time.perf_counter()
            for_each(lambda work: work(), [way] * torch.get_num_threads())
            if number > 0:
                shortest[dtype] = min(shortest[dtype], time.perf_counter() - began)
    return shortest[torch.float32] / shortest[torch.bfloat16]
