"""Toom and Cook's convolutions, which multiply fewer numbers than the definition.

Signal and filter are polynomials. Their product has a value at each point that is the product of their values, and n
values determine it: a tile of m outputs of a filter of r taps takes n = m + r - 1 products instead of m * r (Winograd,
"Arithmetic Complexity of Computations", 1980). The points here are 0, pairs of numbers that differ in sign, which share
sums, and infinity if n is even.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

# Numbers that lose few digits, by how many of either sign are needed.
PAIRS = ((), (1.0,), (3 / 2, 2 / 3), (1.0, 2.0, 1 / 2))

WIDEST = 16  # lanes of the registers that can be permuted


class TransformStruct(ctypes.Structure):
    _fields_ = [
        ("tile", ctypes.c_int),
        ("points", ctypes.c_int),
        ("even", ctypes.c_void_p),
        ("odd", ctypes.c_void_p),
        ("powers", ctypes.c_void_p),
    ]


class Transform(NamedTuple):
    """Which outputs are computed together, and of how many taps at a time. (1, 1) is the definition.

    Attributes:
        tile: outputs, m.
        taps: r. More taps than these are split into segments of r, which must be m then.
    """

    tile: int
    taps: int

    @property
    def points(self) -> int:
        return self.tile + self.taps - 1

    def of_taps(self) -> Tensor:
        """Return the matrix [n, r] of the filter's values at the points, in float64."""
        return self._powers(self.taps)

    def of_inputs(self) -> Tensor:
        """Return the matrix [n, n] for inputs, in float64."""
        return torch.linalg.inv(self._powers(self.points)).T

    def of_outputs(self) -> Tensor:
        """Return the matrix [m, n] that turns products into outputs, in float64."""
        return self._powers(self.tile).T

    def pack(self) -> tuple[TransformStruct, list[Tensor]]:
        """Return the C structure, and the tensors that it points to."""
        inputs = self.of_inputs()
        rows = torch.zeros(1 + self._count_pairs(), 8, dtype=torch.float64)
        rows[0, : self.points] = inputs[0]
        if self.points % 2 == 0:
            rows[0, : self.points] += inputs[-1]
        for pair in range(self._count_pairs()):
            rows[1 + pair, : self.points] = inputs[1 + 2 * pair]
        powers = self._powers(self.tile)[1 : 1 + 2 * self._count_pairs() : 2]
        tensors = [rows[:, ::2], rows[:, 1::2], powers]
        tensors = [tensor.float().contiguous() for tensor in tensors]
        return TransformStruct(self.tile, self.points, *(tensor.data_ptr() for tensor in tensors)), tensors

    def _count_pairs(self) -> int:
        return (self.points - 1) // 2

    def _powers(self, count: int) -> Tensor:
        numbers = [0.0]
        for pair in PAIRS[self._count_pairs()]:
            numbers += [pair, -pair]
        powers = torch.tensor(numbers, dtype=torch.float64)[:, None] ** torch.arange(count)
        infinity = torch.eye(count, dtype=torch.float64)[-1:]  # where only the highest power counts
        return powers if self.points % 2 else torch.cat([powers, infinity])


class Method(NamedTuple):
    """How a convolution is computed.

    Attributes:
        transform: of its signals.
        halves: whether the products are of bf16 numbers, summed in fp32.
    """

    transform: Transform
    halves: bool = False


def order_lanes(dilation: int, tile: int) -> Tensor:
    """Return where lanes are found when 16 of them are rearranged, int32: [of phases or of samples, tile, 16].

    Sample q * tile * dilation + j * dilation + r of consecutive ones is number q * dilation + r of phase j.
    """
    lane, phase = torch.arange(WIDEST), torch.arange(tile)[:, None]
    samples = lane // dilation * tile * dilation + lane % dilation + phase * dilation
    sample = phase * WIDEST + lane
    group, within = sample // (tile * dilation), sample % (tile * dilation)
    phases = within // dilation * WIDEST + group * dilation + within % dilation
    return torch.stack([samples, phases]).remainder(4 * WIDEST).int().contiguous()
