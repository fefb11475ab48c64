"""`amx.c` and its structures."""

from __future__ import annotations

import ctypes
import functools
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from hifigan.engine.native.compiler import compiled
from hifigan.engine.native.vector import Blocks

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("amx.c")
FEATURES = {"amx_tile", "amx_bf16", "avx512bw", "avx512_bf16"}  # of the processor, as Linux names them
FLAGS = ["-mamx-tile", "-mamx-bf16", "-mavx512f", "-mavx512bw", "-mavx512bf16", "-mfma"]
WITHOUT = "bf16 is slower, and there is no tf32"
WIDTH = 32  # numbers of a row that one product takes
HEIGHT = 16  # outputs of one


class _Convolution(ctypes.Structure):
    _fields_ = [
        ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("outputs", ctypes.c_int),
        ("taps", ctypes.c_int),
        ("dilation", ctypes.c_int),
        ("blocks", ctypes.c_int),
        ("twice", ctypes.c_int),
    ]


class _Stage(ctypes.Structure):
    _fields_ = [
        ("up", ctypes.POINTER(_Convolution)),
        ("blocks", ctypes.c_void_p),
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


class Convolution:
    """A convolution whose weight is packed.

    Args:
        weight: [O, I, K], of `outputs_fit` and `inputs_fit`.
        bias: [O].
        parts: of the signals that it sees, and of its weights.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int, parts: int) -> None:
        outputs, inputs, taps = weight.shape
        weight = weight.detach().float()
        rounded = weight.bfloat16()
        blocks, tiles = parts * inputs // WIDTH, min(2, outputs // HEIGHT)

        def packed(values: Tensor) -> Tensor:
            """[O, I, K] -> [groups, taps, blocks, tiles, 16 pairs of numbers in a row, 16 outputs, 2]."""
            seen = torch.cat([values] * parts, 1).view(-1, tiles, HEIGHT, blocks, WIDTH // 2, 2, taps)
            return seen.permute(0, 6, 3, 1, 4, 2, 5)

        weights = packed(rounded).unsqueeze(3)
        twice = -(-inputs // WIDTH) if parts == 2 else 0
        if twice:
            remainders = packed((weight - rounded.float()).bfloat16()).unsqueeze(3)
            both = torch.cat([remainders, weights], 3)[:, :, :twice]
            weights = torch.cat([both.flatten(2), weights[:, :, twice:].flatten(2)], 2)
        self._memory = weights.contiguous(), bias.detach().float().contiguous()
        pointers = (memory.data_ptr() for memory in self._memory)
        self.reach = dilation * (taps - 1) // 2
        self.struct = _Convolution(*pointers, outputs, taps, dilation, blocks, twice)


class Stage:
    """An upsampling and the sum of residual blocks; for each the convolutions, and how many make one residual.

    Args:
        widths: numbers in a row of the input, and in one of the blocks.
        rate: of the upsampling.
        fold: samples in a row of the blocks.
        cut: the padding of the transposed convolution.
        parts: of the signals that are seen by the upsampling, and by the blocks.
        slopes: of the leaky ReLUs within, and behind the sum.
    """

    def __init__(
        self,
        up: Convolution,
        blocks: Sequence[tuple[Sequence[Convolution], int]],
        *,
        widths: tuple[int, int],
        rate: int,
        fold: int,
        cut: int,
        parts: tuple[int, int],
        slopes: tuple[float, float],
    ) -> None:
        packed = Blocks(blocks)
        self._alive = up, packed  # C has their addresses
        pointers = ctypes.pointer(up.struct), ctypes.addressof(packed.structs)
        self._struct = _Stage(*pointers, len(blocks), *widths, rate, fold, cut, packed.reach, *parts, *slopes)

    def memory(self, rows: int) -> Tensor:
        """What `__call__` needs for tiles of so many rows."""
        return torch.empty(_loaded().tile_memory(ctypes.byref(self._struct), rows), dtype=torch.uint8)

    def __call__(self, x: Tensor, y: Tensor, part: range, memory: Tensor) -> None:
        """Makes rows `part` of y [rows, numbers], activated, of x [N, C_in]; both float32 and contiguous."""
        _loaded().make_tile(
            ctypes.byref(self._struct),
            x.data_ptr(),
            len(x),
            y.data_ptr(),
            part.start,
            part.stop,
            memory.data_ptr(),
        )


def outputs_fit(outputs: int) -> bool:
    return outputs == HEIGHT or outputs % (2 * HEIGHT) == 0


def inputs_fit(inputs: int, parts: int) -> bool:
    return parts * inputs % WIDTH == 0 and (inputs % WIDTH == 0 or parts * inputs == WIDTH)


def _loaded() -> ctypes.CDLL:
    loaded = library()
    assert loaded is not None, "ask library() first"
    return loaded


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled source; None where it cannot be had, or there are no matrix units for this process."""
    if not features() >= FEATURES or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return None
    loaded = compiled(SOURCE, FLAGS, WITHOUT)
    if loaded is None:
        return None
    if not loaded.ask_for_matrix_units():
        log.info("the system does not let this process use the processor's matrix units: %s", WITHOUT)
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_long
    loaded.tile_memory.argtypes = [pointer, number]
    loaded.tile_memory.restype = number
    loaded.make_tile.argtypes = [pointer, pointer, number, pointer, number, number, pointer]
    loaded.make_tile.restype = None
    return loaded


def features() -> set[str]:
    """What the processor can do, by Linux's names; nothing is known elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split(":")[1].split()) for line in lines if line.startswith("flags")), set())
