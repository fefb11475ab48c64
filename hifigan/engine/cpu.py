"""The generator on CPUs: the same network, with its work reordered for speed.

Beside the arithmetic, memory access and convolutions with few channels cost time. Each stage (upsampling and residual
blocks) therefore runs on tiles of time that stay in the cache, one tile per thread. There are three implementations: C
(`cpu_c.py`), C on the matrix units of some processors (`cpu_amx.py`), the fastest in 16 bits, and oneDNN's convolutions
(`cpu_onednn.py`) where C cannot be compiled.

In bf16, the operands have 8 bits and the sums are fp32. Layers at frame rate determine the phase of everything after
them and stay in fp32, at less than 1 % of the work. So does the last layer, because noise in its output is heard.
Which other convolutions stay more exact depends on the processor: on matrix units pairs of bf16 numbers cost little,
while elsewhere fp32 with fewer products is nearly as fast as bf16. In tf32 all stages have pairs, except those whose
widths do not fit the units, which stay in fp32.

Shapes: M mel bands, L frames, T samples, C channels.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import torch
from torch import Tensor

from hifigan.config import GeneratorConfig
from hifigan.engine.cpu_amx import MatrixStage, Pairs, fits_matrix_units
from hifigan.engine.cpu_c import (
    SLOPE,
    ChannelLayer,
    ChannelStage,
    Halves,
    Signal,
    lacks_bf16,
    runs_in_c,
    split_serially,
)
from hifigan.engine.cpu_onednn import RowLayer, RowOutput, RowStage
from hifigan.generator import Generator

log = logging.getLogger(__name__)
LAST_SLOPE = 0.01  # of the leaky ReLU before the last layer
# Networks that begin with fewer channels than this, as V2, pass the quality gate only if more of them is exact.
WIDE_FROM_CHANNELS = 128
# On matrix units stages with fewer channels than this have pairs of bf16 numbers: they cannot average out the noise,
# which fills the quiet high bands. Elsewhere fewer are exact.
PAIRS_BELOW_CHANNELS = 32
FIRST_BF16_CHANNELS = 16
# The loudest errors are those of long kernels in the first stage, and of short ones in narrow networks.
MAX_TAPS_OF_FIRST, MIN_TAPS_OF_NARROW = 7, 4
ALL_TAPS = 2**31 - 1
# The first two stages of V1, with one of its three kernels and fewer samples.
PROBE = GeneratorConfig(
    upsample_rates=(2, 4),
    upsample_kernel_sizes=(4, 8),
    resblock_kernel_sizes=(7,),
    resblock_dilation_sizes=((1, 3, 5),),
)
PROBE_FRAMES = 32


class CpuEngine:
    """Copies a generator's weights into layouts for the CPU, and runs it.

    Args:
        generator: on the CPU, in evaluation mode, weight norm removed.
        precision: "fp32", "tf32" (fp32 with 16-bit products, on matrix units), or "bf16" (where exact enough, and not
            on a processor that lacks it).
    """

    def __init__(self, generator: Generator, precision: str = "fp32") -> None:
        if precision == "bf16" and (reason := lacks_bf16()):
            log.warning("%s; computing in fp32", reason)
            precision = "fp32"
        self._normalise = generator.normalise
        ups: Any = generator.ups
        fusions: Any = generator.resblocks
        self._stages: list[RowStage | ChannelStage | MatrixStage] = []
        scale, samples = 1.0, 1
        for number, (up, blocks) in enumerate(zip(ups, fusions, strict=True)):
            samples *= up.stride[0]
            slope = SLOPE if number < len(ups) - 1 else LAST_SLOPE
            pairs = _choose_pairs(number, ups, precision)
            if precision != "fp32" and fits_matrix_units(up, pairs, samples):
                self._stages.append(MatrixStage(up, blocks, pairs, scale, samples, slope))
            elif runs_in_c(up):
                halves = choose_halves(generator.config, number) if precision == "bf16" else Halves()
                self._stages.append(ChannelStage(up, blocks, scale, slope, halves))
            else:
                self._stages.append(RowStage(up, blocks, scale, samples, slope))
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
        wavs = [self._synthesise(single) for single in mel]
        return torch.stack(wavs) if len(wavs) > 1 else wavs[0][None]

    def _synthesise(self, mel: Tensor) -> Tensor:
        x: Tensor | Signal = Signal.from_tensor(mel, self._normalise)
        for layer in (self._pre, *self._stages, self._post):
            x = (
                layer(_to_rows(x))
                if isinstance(layer, RowLayer | RowStage | MatrixStage | RowOutput)
                else layer(_to_signal(x))
            )
        wav = x.inner[0] if isinstance(x, Signal) else x
        for part in split_serially(1, len(wav)):
            wav[part].tanh_()
        return wav


def choose_halves(config: GeneratorConfig, number: int) -> Halves:
    """Return which convolutions of a stage have bf16 products in bf16, without matrix units."""
    channels = config.upsample_initial_channel >> (number + 1)
    is_narrow = config.upsample_initial_channel >> 1 < WIDE_FROM_CHANNELS
    if channels < FIRST_BF16_CHANNELS:
        return Halves()
    min_taps, max_taps = MIN_TAPS_OF_NARROW if is_narrow else 1, MAX_TAPS_OF_FIRST if number == 0 else ALL_TAPS
    # Two convolutions per residual and many channels average out the errors of rounding transformed signals, too.
    averages = config.resblock == "1" and not is_narrow and number > 0
    return Halves(min_taps, max_taps, (3 if number == 1 else 4) if averages else 1)


def _choose_pairs(number: int, ups: Any, precision: str) -> Pairs:
    """Return which convolutions of a stage have pairs of bf16 numbers on matrix units."""
    if precision != "bf16" or ups[number].out_channels < PAIRS_BELOW_CHANNELS:
        return Pairs(True, range(0))
    if ups[0].out_channels < WIDE_FROM_CHANNELS:
        return Pairs(number <= 1, range(MIN_TAPS_OF_NARROW, ALL_TAPS) if number > 0 else range(0))
    return Pairs(number == 0, range(1, MAX_TAPS_OF_FIRST + 1 if number == 0 else ALL_TAPS))


def _to_rows(x: Tensor | Signal) -> Tensor:
    """Convert to rows [T, C]."""
    return (x.inner.t() if isinstance(x, Signal) else x).contiguous()


def _to_signal(x: Tensor | Signal) -> Signal:
    """Convert to one row per channel."""
    return x if isinstance(x, Signal) else Signal.from_tensor(x.t().contiguous())  # copying from rows is slower


def measure_bf16_speed_up() -> float:
    """Return the time of the engine in fp32 over its time in bf16, for stages as in V1.

    This takes some tenths of a second. Where bf16 would be slow it is 0.
    """
    if lacks_bf16():
        return 0.0
    generator = Generator(PROBE).eval()
    generator.remove_weight_norm()
    mel = torch.zeros(1, PROBE.num_mels, PROBE_FRAMES)
    engines = {precision: CpuEngine(generator, precision) for precision in ("fp32", "bf16")}
    shortest = dict.fromkeys(engines, math.inf)
    for number in range(4):  # alternating, because the machine may be shared. The first call allocates memory.
        for precision, engine in engines.items():
            began = time.perf_counter()
            engine(mel)
            if number > 0:
                shortest[precision] = min(shortest[precision], time.perf_counter() - began)
    return shortest["fp32"] / shortest["bf16"]
