"""C structures that `vector.c` and `amx.c` share, and the Python objects that own their memory."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from torch import Tensor


class BlockStruct(ctypes.Structure):
    _fields_ = [
        ("convs", ctypes.c_void_p),
        ("count", ctypes.c_int),
        ("convs_per_residual", ctypes.c_int),
        ("reach", ctypes.c_int),
    ]


class BaseConvolution:
    """A convolution with its weights packed for C.

    Args:
        struct: C structure with the fields `weight`, `bias`, `taps`, `dilation`, and `fields`.
        weights: packed.
        bias: [outputs], padded where C requires it.

    Attributes:
        struct: instance of the C structure. It points into memory that this object owns.
        taps: kernel size.
        reach: rows or samples that it sees to either side.
    """

    def __init__(
        self, struct: type[ctypes.Structure], weights: Tensor, bias: Tensor, *, taps: int, dilation: int, **fields: int
    ) -> None:
        self._memory = weights.contiguous(), bias.detach().float().contiguous()
        weight_ptr, bias_ptr = (tensor.data_ptr() for tensor in self._memory)
        self.struct = struct(weight=weight_ptr, bias=bias_ptr, taps=taps, dilation=dilation, **fields)
        self.taps = taps
        self.reach = dilation * (taps - 1) // 2


class ResidualBlocks:
    """The residual blocks of a stage, as an array of C structures.

    Args:
        blocks: per block, its convolutions, and how many of them form one residual.

    Attributes:
        structs: array of `BlockStruct`.
        reach: the largest reach of a block.
    """

    def __init__(self, blocks: Sequence[tuple[Sequence[BaseConvolution], int]]) -> None:
        reaches = [sum(conv.reach for conv in convs) for convs, _ in blocks]
        arrays = [(type(convs[0].struct) * len(convs))(*(conv.struct for conv in convs)) for convs, _ in blocks]
        self.structs = (BlockStruct * len(blocks))(
            *(
                BlockStruct(ctypes.addressof(array), len(array), convs_per_residual, reach)
                for array, (_, convs_per_residual), reach in zip(arrays, blocks, reaches, strict=True)
            )
        )
        self.reach = max(reaches)
        self._alive = blocks, arrays  # C has their addresses
