"""Architectures that can be recognised by the shapes of their tensors alone.

Shapes tell the widths and kernels, but neither the rates nor the dilations. Those are known for published families.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

# Kernels of the transposed convolutions -> their rates.
RATES: dict[tuple[int, ...], tuple[int, ...]] = {
    (16, 16, 4, 4): (8, 8, 2, 2),  # V1 and V2
    (16, 16, 8): (8, 8, 4),  # V3
    (20, 8, 4, 4): (10, 4, 2, 2),  # bshall/hifigan
    (20, 12, 4, 4, 4): (10, 6, 2, 2, 2),  # GPT-SoVITS v4
}
DILATIONS_1 = (1, 3, 5)  # of each block of kind "1" with three pairs
DILATIONS_2: dict[tuple[int, ...], tuple[tuple[int, ...], ...]] = {
    (3, 5, 7): ((1, 2), (2, 6), (3, 12))
}  # of blocks of kind "2", by their kernels


def kernels_of(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the kernels of the transposed convolutions."""
    found = _weights(state, r"ups\.(\d+)")
    return tuple(found.get(number, 0) for number in range(len(found)))


def config_of(state: Mapping[str, Tensor], nested: bool) -> dict[str, Any] | None:
    """Return the generator's keys for tensors under the public names, or None for an unknown family.

    Args:
        state: the tensors.
        nested: residual blocks are numbered by stage and block, not in one sequence.
    """
    kernels = kernels_of(state)
    kind = "1" if any(".convs1." in key for key in state) else "2"
    convs = "convs1" if kind == "1" else "convs"
    blocks = _weights(state, rf"resblocks\.{'0.' if nested else ''}(\d+)\.{convs}\.0")
    count = len(blocks) if nested or not kernels else len(blocks) // len(kernels)
    sizes = tuple(blocks.get(number, 0) for number in range(count))
    pairs = len(_weights(state, rf"resblocks\.{'0.' if nested else ''}0\.{convs}\.(\d+)"))
    dilations = DILATIONS_2.get(sizes)
    if kind == "1":
        dilations = (DILATIONS_1,) * count if pairs == len(DILATIONS_1) else None
    first = next((value for key, value in state.items() if key in ("conv_pre.weight", "conv_pre.weight_v")), None)
    if kernels not in RATES or not count or dilations is None or first is None or first.dim() != 3:
        return None
    return {
        "upsample_rates": RATES[kernels],
        "upsample_kernel_sizes": kernels,
        "upsample_initial_channel": first.shape[0],
        "resblock": kind,
        "resblock_kernel_sizes": sizes,
        "resblock_dilation_sizes": dilations,
    }


def _weights(state: Mapping[str, Tensor], layer: str) -> dict[int, int]:
    """Map the number of each layer to the length of its kernel. `layer` is a pattern with one group, the number."""
    return {
        int(found[1]): value.shape[-1]
        for key, value in state.items()
        if (found := re.fullmatch(rf"{layer}\.(?:weight|weight_v)", key)) and value.dim() == 3
    }
