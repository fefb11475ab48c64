"""Python side of `amx.c`: stages on the matrix units (AMX) of x86 processors."""

from __future__ import annotations

import ctypes
import functools
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from hifigan.engine.native import instruction_sets, vector
from hifigan.engine.native.compiler import load_library, require
from hifigan.engine.native.structures import BaseConvolution, BlockStruct, ResidualBlocks

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("amx.c")
FALLBACK = "bf16 is slower, and there is no tf32"
PRODUCT_INPUTS = 32  # bf16 numbers of a row that one tile product takes
PRODUCT_OUTPUTS = 16  # outputs of one tile product
_PTR, _LONG = ctypes.c_void_p, ctypes.c_long
SIGNATURES = {
    "tile_memory": (_LONG, [_PTR, _LONG]),
    "make_tile": (None, [_PTR, _PTR, _LONG, _PTR, _LONG, _LONG, _PTR]),
}


class AmxConvolutionStruct(ctypes.Structure):
    _fields_ = [
        ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("outputs", ctypes.c_int),
        ("taps", ctypes.c_int),
        ("dilation", ctypes.c_int),
        ("blocks", ctypes.c_int),
        ("twice", ctypes.c_int),
    ]


class AmxStageStruct(ctypes.Structure):
    _fields_ = [
        ("up", ctypes.POINTER(AmxConvolutionStruct)),
        ("blocks", ctypes.POINTER(BlockStruct)),
        ("count", ctypes.c_int),
        ("inputs", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("rate", ctypes.c_int),
        ("fold", ctypes.c_int),
        ("cut", ctypes.c_int),
        ("reach", ctypes.c_int),
        ("up_parts", ctypes.c_int),
        ("parts", ctypes.c_int),
        ("inner_slope", ctypes.c_float),
        ("slope", ctypes.c_float),
    ]


class AmxConvolution(BaseConvolution):
    """A convolution with packed weights.

    Args:
        weight: [O, I, K], with `fits_outputs(O)` and `fits_inputs(I, parts)`.
        bias: [O].
        parts: bf16 numbers per value, of signals and weights: 1 (8 bits) or 2 (16 bits). Not more than the signal has.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int, parts: int) -> None:
        outputs, inputs, taps = weight.shape
        weight = weight.detach().float()
        rounded = weight.bfloat16()
        blocks, tiles = parts * inputs // PRODUCT_INPUTS, min(2, outputs // PRODUCT_OUTPUTS)

        def pack(values: Tensor) -> Tensor:
            """[O, I, K] -> [groups, taps, blocks, tiles, 16 pairs of numbers in a row, 16 outputs, 2]."""
            repeated = torch.cat([values] * parts, 1)
            split = repeated.view(-1, tiles, PRODUCT_OUTPUTS, blocks, PRODUCT_INPUTS // 2, 2, taps)
            return split.permute(0, 6, 3, 1, 4, 2, 5)

        weights = pack(rounded).unsqueeze(3)
        twice = -(-inputs // PRODUCT_INPUTS) if parts == 2 else 0
        if twice:
            remainders = pack((weight - rounded.float()).bfloat16()).unsqueeze(3)
            both = torch.cat([remainders, weights], 3)[:, :, :twice]
            weights = torch.cat([both.flatten(2), weights[:, :, twice:].flatten(2)], 2)
        super().__init__(
            AmxConvolutionStruct,
            weights,
            bias,
            outputs=outputs,
            taps=taps,
            dilation=dilation,
            blocks=blocks,
            twice=twice,
        )


class AmxStage:
    """An upsampling layer and the sum of residual blocks.

    Args:
        up: the upsampling as a convolution that computes `rate` samples per input sample.
        blocks: per block, its convolutions, and how many of them form one residual.
        widths: numbers in a row of the input, and in a row within the blocks.
        rate: of the upsampling.
        fold: samples in a row within the blocks.
        cut: padding of the transposed convolution.
        parts: bf16 numbers per value of the signal that the upsampling reads, and of those in the blocks.
        slopes: of the leaky ReLUs within the stage and behind the sum.
    """

    def __init__(
        self,
        up: AmxConvolution,
        blocks: Sequence[tuple[Sequence[AmxConvolution], int]],
        *,
        widths: tuple[int, int],
        rate: int,
        fold: int,
        cut: int,
        parts: tuple[int, int],
        slopes: tuple[float, float],
    ) -> None:
        packed = ResidualBlocks(blocks)
        self._alive = up, packed  # C has their addresses
        self._struct = AmxStageStruct(
            up=ctypes.pointer(up.struct),
            blocks=packed.structs,
            count=len(blocks),
            inputs=widths[0],
            channels=widths[1],
            rate=rate,
            fold=fold,
            cut=cut,
            reach=packed.reach,
            up_parts=parts[0],
            parts=parts[1],
            inner_slope=slopes[0],
            slope=slopes[1],
        )

    def allocate(self, rows: int) -> Tensor:
        """Return working memory for tiles of up to `rows` rows."""
        size = require(library()).tile_memory(ctypes.byref(self._struct), rows)
        return torch.empty(size, dtype=torch.uint8)

    def __call__(self, x: Tensor, y: Tensor, part: range, memory: Tensor) -> None:
        """Compute rows `part` of y [rows, numbers], activated, from x [N, C_in]. Both are float32 and contiguous."""
        require(library()).make_tile(
            ctypes.byref(self._struct),
            x.data_ptr(),
            len(x),
            y.data_ptr(),
            part.start,
            part.stop,
            memory.data_ptr(),
        )


def fits_outputs(outputs: int) -> bool:
    """Whether tile products can fill this number of outputs."""
    return outputs == PRODUCT_OUTPUTS or outputs % (2 * PRODUCT_OUTPUTS) == 0


def fits_inputs(inputs: int, parts: int) -> bool:
    """Whether tile products can read rows of `inputs` values with `parts` bf16 numbers each."""
    return parts * inputs % PRODUCT_INPUTS == 0 and (inputs % PRODUCT_INPUTS == 0 or parts * inputs == PRODUCT_INPUTS)


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled source, or None without a C compiler or without matrix units for this process."""
    flags = instruction_sets.chosen().matrix_flags
    if flags is None or vector.library() is None:  # which logs once that there is no compiler
        return None
    loaded = load_library(SOURCE, flags, FALLBACK, SIGNATURES)
    if loaded is not None and not loaded.request_matrix_units():
        log.info("the system does not let this process use the processor's matrix units: %s", FALLBACK)
        return None
    return loaded
