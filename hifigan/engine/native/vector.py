"""`vector.c`, compiled for this machine when it is first needed, and its structures."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hifigan.engine.native.compiler import compiled

SOURCE = Path(__file__).with_name("vector.c")
TARGETS = {"AVX512": ["-mavx512f", "-mavx512vl", "-mavx512dq", "-mfma"], "AVX2": ["-mavx2", "-mfma"]}
WITHOUT = "without it the CPU engine runs in PyTorch alone, slower"


class _Convolution(ctypes.Structure):
    _fields_ = [
        ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("inputs", ctypes.c_int),
        ("outputs", ctypes.c_int),
        ("taps", ctypes.c_int),
        ("dilation", ctypes.c_int),
        ("rate", ctypes.c_int),
    ]


class _Destination(ctypes.Structure):
    _fields_ = [
        ("plus", ctypes.c_void_p),
        ("plus_too", ctypes.c_void_p),
        ("raw", ctypes.c_void_p),
        ("activated", ctypes.c_void_p),
        ("plus_row", ctypes.c_long),
        ("row", ctypes.c_long),
        ("slope", ctypes.c_float),
    ]


class _Block(ctypes.Structure):
    _fields_ = [
        ("convs", ctypes.c_void_p),
        ("count", ctypes.c_int),
        ("of_a_sum", ctypes.c_int),
        ("reach", ctypes.c_int),
    ]


class _Stage(ctypes.Structure):
    _fields_ = [
        ("up", ctypes.POINTER(_Convolution)),
        ("blocks", ctypes.POINTER(_Block)),
        ("count", ctypes.c_int),
        ("cut", ctypes.c_int),
        ("reach", ctypes.c_int),
        ("inner_slope", ctypes.c_float),
        ("slope", ctypes.c_float),
    ]


class Convolution:
    """A convolution whose weight is packed.

    Args:
        weight: [O, I, K].
        bias: [O].
        rate: above 1, output channel c * rate + r makes every rate-th sample of channel c, from sample r on.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int = 1, rate: int = 1) -> None:
        outputs, inputs, taps = weight.shape
        block = _constant("outputs_of_a_block")
        missing = -outputs % block
        blocks = F.pad(weight.detach().float(), (0, 0, 0, 0, 0, missing)).view(-1, block, inputs, taps)
        self._memory = (
            blocks.permute(0, 3, 2, 1).contiguous(),
            F.pad(bias.detach().float(), (0, missing)).contiguous(),
        )
        self.reach = dilation * (taps - 1) // 2
        self.taps = taps
        pointers = (memory.data_ptr() for memory in self._memory)
        self.struct = _Convolution(*pointers, inputs, outputs, taps, dilation, rate)

    def __call__(self, x: Tensor, x_at: int, samples: int, y: Tensor, y_at: int, slope: float | None) -> None:
        """Makes samples of y from `y_at` on, with a leaky ReLU if it has a slope, of those of x from `x_at` on.

        Args:
            x: [I, ...], with room for `LANES` samples behind the last one that is needed.
            y: [O, ...].
        """
        out = y.data_ptr() + 4 * y_at
        raw, activated = (out, None) if slope is None else (None, out)
        to = _Destination(None, None, raw, activated, 0, y.stride(0), slope or 0.0)
        _loaded().convolve(ctypes.byref(self.struct), x.data_ptr() + 4 * x_at, x.stride(0), samples, ctypes.byref(to))


class Blocks:
    """Residual blocks for C.

    Args:
        blocks: for each the convolutions (`struct`, `reach`), and how many make one residual.
    """

    def __init__(self, blocks: Sequence[tuple[Sequence[Any], int]]) -> None:
        reaches = [sum(conv.reach for conv in convs) for convs, _ in blocks]
        arrays = [(type(convs[0].struct) * len(convs))(*(conv.struct for conv in convs)) for convs, _ in blocks]
        self.structs = (_Block * len(blocks))(
            *(
                _Block(ctypes.addressof(array), len(array), of_a_sum, reach)
                for array, (_, of_a_sum), reach in zip(arrays, blocks, reaches, strict=True)
            )
        )
        self.reach = max(reaches)
        self._alive = blocks, arrays  # C has their addresses


class Stage:
    """An upsampling and the sum of residual blocks; for each the convolutions, and how many make one residual."""

    def __init__(
        self,
        up: Convolution,
        cut: int,
        blocks: Sequence[tuple[Sequence[Convolution], int]],
        slopes: tuple[float, float],
    ) -> None:
        packed = Blocks(blocks)
        self._alive = up, packed  # C has their addresses
        self.reach = packed.reach
        self._rate = up.struct.rate
        self.channels: int = up.struct.outputs // self._rate
        self._struct = _Stage(ctypes.pointer(up.struct), packed.structs, len(blocks), cut, self.reach, *slopes)

    def memory(self, samples: int) -> Tensor:
        """What `__call__` needs for tiles of so many samples."""
        row = samples + 2 * (self.reach + self._rate) + lanes()
        return torch.empty(6, self.channels, -(-row // 16) * 16)

    def __call__(self, x: Tensor, x_at: int, y: Tensor, y_at: int, samples: int, part: range, memory: Tensor) -> None:
        """Makes samples `part` of y, activated, of which there are `samples`.

        Args:
            x, y: [C_in, ...] and [C, ...], with zeros before `x_at` and `y_at`, where they begin, and behind their end.
        """
        _loaded().make_tile(
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


def lanes() -> int:
    """Fewer samples than these are read behind the last one that is needed."""
    return _constant("lanes")


def _constant(name: str) -> int:
    return ctypes.c_int.in_dll(_loaded(), name).value


def _loaded() -> ctypes.CDLL:
    loaded = library()
    assert loaded is not None, "ask library() first"
    return loaded


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled source; None where it cannot be had."""
    loaded = compiled(SOURCE, TARGETS.get(torch.backends.cpu.get_cpu_capability(), []), WITHOUT)
    if loaded is None:
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_long
    loaded.convolve.argtypes = [pointer, pointer, number, number, pointer]
    loaded.make_tile.argtypes = [pointer, pointer, number, pointer, number, number, number, number, pointer, number]
    loaded.convolve.restype = loaded.make_tile.restype = None
    return loaded
