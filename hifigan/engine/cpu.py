"""The generator on CPUs: the same network, with its work reordered for speed.

Beside the arithmetic, memory access and convolutions with few channels cost time. Each stage (upsampling and residual
blocks) therefore runs on tiles of time that stay in the cache, one tile per thread. There are three implementations:
oneDNN's convolutions (`cpu_onednn.py`), C (`cpu_c.py`), the fastest in fp32 with few channels, and C on the matrix
units of some processors (`cpu_amx.py`), the fastest in bf16.

In bf16, the operands have 8 bits and the sums are fp32. Layers at frame rate determine the phase of everything after
them and stay in fp32, at less than 1 % of the work. So do stages with few channels (all of V2's but one). On matrix
units, 16 bits replace fp32 within a stage. The last layer stays in fp32, because noise in its output is heard. In tf32
all stages have 16 bits, except those whose widths do not fit the units, which stay in fp32.

Shapes: M mel bands, L frames, T samples, C channels.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from common.machine.thread_pool import for_each
from hifigan.engine.cpu_amx import MatrixStage, fits_matrix_units
from hifigan.engine.cpu_c import MARGIN_SAMPLES, SLOPE, ChannelLayer, ChannelStage, Signal, is_faster_in_c
from hifigan.engine.cpu_onednn import RowConvolution, RowLayer, RowOutput, RowStage, lacks_bf16, to_image
from hifigan.engine.native import vector
from hifigan.generator import Generator

log = logging.getLogger(__name__)
LAST_SLOPE = 0.01  # of the leaky ReLU before the last layer
# In bf16, V2 passes the quality gate (35 dB of SNR on speech, mel loss within 0.5 %) only if these stages are exact:
# the first one, whose errors pass through all others,
EXACT_FIRST_STAGE_BELOW_CHANNELS = 128
# and any whose channels are too few to average out the noise, which fills the quiet high bands.
EXACT_STAGE_BELOW_CHANNELS = 32


class CpuEngine:
    """Copies a generator's weights into layouts for the CPU, and runs it.

    Args:
        generator: on the CPU, in evaluation mode, weight norm removed.
        precision: "fp32", "tf32" (fp32 with 16-bit products, on matrix units), or "bf16" (where exact enough, and not
            on a processor that lacks it).
    """

    def __init__(self, generator: Generator, precision: str = "fp32") -> None:
        if precision == "bf16" and lacks_bf16():
            log.warning("this processor lacks bf16; computing in fp32")
            precision = "fp32"
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._normalise = generator.normalise
        ups: Any = generator.ups
        fusions: Any = generator.resblocks
        is_narrow = ups[0].out_channels < EXACT_FIRST_STAGE_BELOW_CHANNELS
        self._stages: list[RowStage | ChannelStage | MatrixStage] = []
        scale, samples = 1.0, 1
        for number, (up, blocks) in enumerate(zip(ups, fusions, strict=True)):
            is_exact = up.out_channels < EXACT_STAGE_BELOW_CHANNELS
            inner = torch.float32 if is_exact or (is_narrow and number == 0) else dtype
            outer = torch.float32 if is_exact or number <= int(is_narrow) else dtype
            samples *= up.stride[0]
            slope = SLOPE if number < len(ups) - 1 else LAST_SLOPE
            exact = outer is torch.float32, inner is torch.float32
            if precision != "fp32" and fits_matrix_units(up, exact, samples):
                self._stages.append(MatrixStage(up, blocks, exact, scale, samples, slope))
            elif inner is torch.float32 and is_faster_in_c(up):
                self._stages.append(ChannelStage(up, blocks, scale, slope))
            else:
                self._stages.append(RowStage(up, blocks, inner, outer, scale, samples, slope))
            scale = 1 / len(blocks)  # turns the sum of blocks into their mean, which leaky ReLU commutes with
        # The first and last layer use the layout of the stage beside them.
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
        """mel [B, M, L], float32 -> wav [B, T], float32, in [-1, 1], one utterance after the other."""
        return torch.stack([self._synthesise(single) for single in mel])

    def _synthesise(self, mel: Tensor) -> Tensor:
        x: Tensor | Signal = self._normalise(mel).t()
        for layer in (self._pre, *self._stages, self._post):
            x = (
                layer(_to_rows(x))
                if isinstance(layer, RowLayer | RowStage | MatrixStage | RowOutput)
                else layer(_to_signal(x))
            )
        return (x.inner[0] if isinstance(x, Signal) else x).tanh()


def _to_rows(x: Tensor | Signal) -> Tensor:
    """Convert to rows [T, C]."""
    return (x.inner.t() if isinstance(x, Signal) else x).contiguous()


def _to_signal(x: Tensor | Signal) -> Signal:
    """Convert to one row per channel."""
    return x if isinstance(x, Signal) else Signal.from_tensor(x.t().contiguous())  # copying from rows is slower


def measure_bf16_speed_up() -> float:
    """Return the time in fp32 over the time in bf16 of a convolution as in the middle of V1, on all threads.

    This takes a few milliseconds. On a processor that lacks bf16 it is 0.
    """
    if lacks_bf16():
        return 0.0
    channels, samples = 64, 2048
    weight, bias = torch.zeros(channels, channels, 7), torch.zeros(channels)
    rows = {dtype: to_image(torch.zeros(samples, channels, dtype=dtype)) for dtype in (torch.float32, torch.bfloat16)}
    runs: dict[torch.dtype, Callable[[], object]] = {
        dtype: functools.partial(RowConvolution(weight, bias, dtype), x) for dtype, x in rows.items()
    }
    if vector.library():
        x, y = torch.zeros(2, channels, samples + 2 * MARGIN_SAMPLES)
        runs[torch.float32] = functools.partial(vector.VectorConvolution(weight, bias), x, 0, samples, y, 0, SLOPE)
    shortest = dict.fromkeys(runs, math.inf)
    for number in range(5):  # alternating, because the machine may be shared. The first call compiles.
        for dtype, run in runs.items():
            began = time.perf_counter()
            for_each(lambda work: work(), [run] * torch.get_num_threads())
            if number > 0:
                shortest[dtype] = min(shortest[dtype], time.perf_counter() - began)
    return shortest[torch.float32] / shortest[torch.bfloat16]
