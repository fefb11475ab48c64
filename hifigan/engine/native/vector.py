"""Python side of `vector.c`: convolutions and stages, with one row of memory per channel."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from hifigan.engine.native import instruction_sets
from hifigan.engine.native.compiler import Signature, load_library, require
from hifigan.engine.native.structures import BaseConvolution, BlockStruct, ResidualBlocks
from hifigan.engine.native.transforms import Method, order_lanes

SOURCE = Path(__file__).with_name("vector.c")
FALLBACK = (
    "the CPU engine computes with PyTorch's convolutions, which are slower (docs/inference.md). "
    "Install one, such as gcc, or a wheel of this package that was built where there is one"
)
LINE_SAMPLES = 16  # in a line of the cache
SIGNALS = 6  # in the working memory of a stage
CELL_BYTES = 2**19  # of a convolution's transformed inputs, which stay in the cache
MAX_PANELS = 10  # of columns computed together
_PTR, _LONG = ctypes.c_void_p, ctypes.c_long
SIGNATURES: dict[str, Signature] = {
    "scratch_samples": (_LONG, [_PTR]),
    "convolve": (None, [_PTR, _PTR, _LONG, _LONG, _PTR, _PTR]),
    "make_tile": (None, [_PTR, _PTR, _LONG, _PTR, _LONG, _LONG, _LONG, _LONG, _PTR, _LONG]),
}


class VectorConvolutionStruct(ctypes.Structure):
    _fields_ = [
        ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("transform", ctypes.c_void_p),
        ("inputs", ctypes.c_int),
        ("outputs", ctypes.c_int),
        ("taps", ctypes.c_int),
        ("dilation", ctypes.c_int),
        ("rate", ctypes.c_int),
        ("segments", ctypes.c_int),
        ("columns", ctypes.c_int),
        ("split", ctypes.c_void_p),
        ("join", ctypes.c_void_p),
        ("halves", ctypes.c_int),
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
        method: of computing it. None computes the definition in fp32, the only way with a rate above 1. Products in
            bf16 need an even number of inputs, and a processor that has them.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, dilation: int = 1, rate: int = 1, method: Method | None = None
    ) -> None:
        outputs, inputs, taps = weight.shape
        block = _read_constant("outputs_per_block")
        missing = -outputs % block
        weight = F.pad(weight.detach(), (0, 0, 0, 0, 0, missing))
        fields: dict[str, Any] = {}
        if method is None:
            packed = weight.float().view(-1, block, inputs, taps).permute(0, 3, 2, 1)
        else:
            self._transform = method.transform.pack()
            self._order = order_lanes(dilation, method.transform.tile)
            fields = {
                "transform": ctypes.addressof(self._transform[0]),
                "segments": -(-taps // method.transform.taps),
                "columns": _choose_columns(max(inputs, outputs), dilation, method),
                "halves": method.halves,
                "split": self._order[0].data_ptr(),
                "join": self._order[1].data_ptr(),
            }
            packed = _pack_transformed(weight, block, method)
        super().__init__(
            VectorConvolutionStruct,
            packed,
            F.pad(bias, (0, missing)),
            inputs=inputs,
            outputs=outputs,
            taps=taps,
            dilation=dilation,
            rate=rate,
            **fields,
        )

    def scratch_samples(self) -> int:
        """Return the working memory that it needs, in numbers of 4 bytes."""
        return int(require(library()).scratch_samples(ctypes.byref(self.struct)))

    def __call__(self, x: Tensor, x_at: int, samples: int, y: Tensor, y_at: int, slope: float | None) -> None:
        """Compute `samples` samples of y from `y_at` on, from x at `x_at`, with a leaky ReLU if `slope` is given.

        Args:
            x: [I, ...], with room for `count_lanes()` samples behind the last one needed, or with a method for 4 times
                as many.
            y: [O, ...].
        """
        out = y.data_ptr() + 4 * y_at
        raw, activated = (out, None) if slope is None else (None, out)
        to = DestinationStruct(None, None, raw, activated, 0, y.stride(0), slope or 0.0)
        scratch = torch.empty(self.scratch_samples())
        require(library()).convolve(
            ctypes.byref(self.struct),
            x.data_ptr() + 4 * x_at,
            x.stride(0),
            samples,
            ctypes.byref(to),
            scratch.data_ptr(),
        )


class TileMemory(NamedTuple):
    """Working memory of a stage, with rows of `row` numbers."""

    data: Tensor
    row: int


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
        self._scratch_samples = max(conv.scratch_samples() for convs, _ in blocks for conv in convs)
        self._struct = VectorStageStruct(
            up=ctypes.pointer(up.struct),
            blocks=packed.structs,
            count=len(blocks),
            cut=cut,
            reach=self.reach,
            inner_slope=slopes[0],
            slope=slopes[1],
        )

    def allocate(self, samples: int) -> TileMemory:
        """Return working memory for tiles of up to `samples` samples."""
        row = samples + 2 * (self.reach + self._rate) + count_lanes()
        row = (-(-row // LINE_SAMPLES) | 1) * LINE_SAMPLES  # an odd number of lines: rows do not compete for the cache
        return TileMemory(torch.empty(SIGNALS * self.channels * row + self._scratch_samples), row)

    def __call__(
        self, x: Tensor, x_at: int, y: Tensor, y_at: int, samples: int, part: range, memory: TileMemory
    ) -> None:
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
            memory.data.data_ptr(),
            memory.row,
        )


def _pack_transformed(weight: Tensor, block: int, method: Method) -> Tensor:
    """Weight [O, I, K] -> [points, O / block, segments, cells, block], float32, or pairs of bf16 as such."""
    taps = method.transform.taps
    segments = F.pad(weight.double(), (0, -weight.size(2) % taps)).unflatten(2, (-1, taps))
    values = torch.einsum("pk,oisk->posi", method.transform.of_taps(), segments)
    values = values.unflatten(1, (-1, block)).permute(0, 1, 3, 4, 2)  # [points, blocks, segments, inputs, block]
    if method.halves:
        pairs = values.bfloat16().unflatten(3, (-1, 2)).transpose(4, 5)
        return pairs.contiguous().view(torch.float32)[..., 0]
    return values.float()


def _choose_columns(channels: int, dilation: int, method: Method) -> int:
    """Return the tiles that a convolution computes together: whole panels of registers, if they fit the cache."""
    panel = 3 * count_lanes()  # registers of sums per output channel
    cells = method.transform.points * channels / (1 + method.halves)
    panels = min(max(2, int(CELL_BYTES / (4 * cells * panel))), MAX_PANELS)
    return max(panels * panel, dilation)


def count_lanes() -> int:
    """Return the size of a vector register in samples."""
    return _read_constant("lanes")


def _read_constant(name: str) -> int:
    return ctypes.c_int.in_dll(require(library()), name).value


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled source, or None without a C compiler."""
    return load_library(SOURCE, instruction_sets.chosen().flags, FALLBACK, SIGNATURES)
