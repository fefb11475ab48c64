"""Python side of `vector.c`: fp32 convolutions and stages."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from hifigan.engine.native import instruction_sets
from hifigan.engine.native.compiler import load_library, require
from hifigan.engine.native.structures import BaseConvolution, BlockStruct, ResidualBlocks

SOURCE = Path(__file__).with_name("vector.c")
FALLBACK = (
    "the CPU engine computes with PyTorch's convolutions, which are slower (docs/inference.md). "
    "Install one, such as gcc, or a wheel of this package that was built where there is one"
)
ALIGNMENT_SAMPLES = 16  # rows of working memory are multiples of one cache line
_PTR, _LONG = ctypes.c_void_p, ctypes.c_long
SIGNATURES = {
    "convolve": (None, [_PTR, _PTR, _LONG, _LONG, _PTR]),
    "make_tile": (None, [_PTR, _PTR, _LONG, _PTR, _LONG, _LONG, _LONG, _LONG, _PTR, _LONG]),
}


class VectorConvolutionStruct(ctypes.Structure):
    _fields_ = [
        ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("inputs", ctypes.c_int),
        ("outputs", ctypes.c_int),
        ("taps", ctypes.c_int),
        ("dilation", ctypes.c_int),
        ("rate", ctypes.c_int),
    ]


class DestinationStruct(ctypes.Structure):
    _fields_ = [
        ("plus", ctypes.c_void_p),
        ("plus_too", ctypes.c_void_p),
        ("raw", ctypes.c_void_p),
        ("activated", ctypes.c_void_p),
        ("plus_row", ctypes.c_long),
        ("row", ctypes.c_long),
        ("slope", ctypes.c_float),
    ]


class VectorStageStruct(ctypes.Structure):
    _fields_ = [
        ("up", ctypes.POINTER(VectorConvolutionStruct)),
        ("blocks", ctypes.POINTER(BlockStruct)),
        ("count", ctypes.c_int),
        ("cut", ctypes.c_int),
        ("reach", ctypes.c_int),
        ("inner_slope", ctypes.c_float),
        ("slope", ctypes.c_float),
    ]


class VectorConvolution(BaseConvolution):
    """A convolution with packed weights.

    Args:
        weight: [O, I, K].
        bias: [O].
        rate: if above 1, output channel c * rate + r holds every rate-th sample of channel c, starting at sample r.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int = 1, rate: int = 1) -> None:
        outputs, inputs, taps = weight.shape
        block = _read_constant("outputs_per_block")
        missing = -outputs % block
        blocks = F.pad(weight.detach().float(), (0, 0, 0, 0, 0, missing)).view(-1, block, inputs, taps)
        super().__init__(
            VectorConvolutionStruct,
            blocks.permute(0, 3, 2, 1),
            F.pad(bias, (0, missing)),
            inputs=inputs,
            outputs=outputs,
            taps=taps,
            dilation=dilation,
            rate=rate,
        )

    def __call__(self, x: Tensor, x_at: int, samples: int, y: Tensor, y_at: int, slope: float | None) -> None:
        """Compute `samples` samples of y from `y_at` on, from x at `x_at`, with a leaky ReLU if `slope` is given.

        Args:
            x: [I, ...], with room for `count_lanes()` samples behind the last one needed.
            y: [O, ...].
        """
        out = y.data_ptr() + 4 * y_at
        raw, activated = (out, None) if slope is None else (None, out)
        to = DestinationStruct(None, None, raw, activated, 0, y.stride(0), slope or 0.0)
        convolve = require(library()).convolve
        convolve(ctypes.byref(self.struct), x.data_ptr() + 4 * x_at, x.stride(0), samples, ctypes.byref(to))


class VectorStage:
    """An upsampling layer and the sum of residual blocks.

    Args:
        up: the upsampling as a convolution with a rate.
        cut: padding of the transposed convolution.
        blocks: per block, its convolutions, and how many of them form one residual.
        slopes: of the leaky ReLUs within the stage and behind the sum.
    """

    def __init__(
        self,
        up: VectorConvolution,
        cut: int,
        blocks: Sequence[tuple[Sequence[VectorConvolution], int]],
        slopes: tuple[float, float],
    ) -> None:
        packed = ResidualBlocks(blocks)
        self._alive = up, packed  # C has their addresses
        self.reach = packed.reach
        self._rate = up.struct.rate
        self.channels: int = up.struct.outputs // self._rate
        self._struct = VectorStageStruct(
            up=ctypes.pointer(up.struct),
            blocks=packed.structs,
            count=len(blocks),
            cut=cut,
            reach=self.reach,
            inner_slope=slopes[0],
            slope=slopes[1],
        )

    def allocate(self, samples: int) -> Tensor:
        """Return working memory for tiles of up to `samples` samples."""
        row = samples + 2 * (self.reach + self._rate) + count_lanes()
        return torch.empty(6, self.channels, -(-row // ALIGNMENT_SAMPLES) * ALIGNMENT_SAMPLES)

    def __call__(self, x: Tensor, x_at: int, y: Tensor, y_at: int, samples: int, part: range, memory: Tensor) -> None:
        """Compute samples `part` of y, activated. The whole of y has `samples` samples.

        Args:
            x: [C_in, ...]. The signal begins at `x_at`, with zeros before it and behind its end.
            y: [C, ...], the same with `y_at`.
            memory: from `allocate`.
        """
        require(library()).make_tile(
            ctypes.byref(self._struct),
            x.data_ptr() + 4 * x_at,
            x.stride(0),
            y.data_ptr() + 4 * y_at,
            y.stride(0),
            samples,
            part.start,
            part.stop,
            memory.data_ptr(),
            memory.stride(1),
        )


def count_lanes() -> int:
    """Return the size of a vector register in samples. Fewer than that are read behind the last sample needed."""
    return _read_constant("lanes")


def _read_constant(name: str) -> int:
    return ctypes.c_int.in_dll(require(library()), name).value


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled source, or None without a C compiler."""
    return load_library(SOURCE, instruction_sets.chosen().flags, FALLBACK, SIGNATURES)
