"""Instruction sets that the C code is compiled for, and the one that this process uses.

By default that is the best one of the processor. HIFIGAN_CPU_ISA names another, so that the code for smaller processors
runs on larger ones. It limits PyTorch and oneDNN as well, for layers that run there.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from common.errors import InputError
from common.machine.hardware import CPU_ISA_VARIABLE

VARIABLE = CPU_ISA_VARIABLE


class InstructionSet(NamedTuple):
    """One kind of processor.

    Attributes:
        name: a value of HIFIGAN_CPU_ISA.
        flags: of the C compiler, for `vector.c`.
        features: that a processor needs, by Linux's names.
        limits: environment variables that keep PyTorch and oneDNN within the set.
        matrix_flags: of the C compiler, for `amx.c`. None without matrix units.
    """

    name: str
    flags: tuple[str, ...] = ()
    features: frozenset[str] = frozenset()
    limits: Mapping[str, str] = {}
    matrix_flags: tuple[str, ...] | None = None

    @property
    def has_bf16(self) -> bool:
        """Whether there are instructions for products of bf16 numbers."""
        return "avx512_bf16" in self.features


_AVX2 = frozenset({"avx2", "fma"})
_AVX512 = _AVX2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
# PyTorch asks the processor for these, on every system, and names the result. Others are on Linux's list alone.
FOUND_BY_PYTORCH = {"AVX2": _AVX2, "AVX512": _AVX512}
_AVX512_FLAGS = ("-mavx512f", "-mavx512vl", "-mavx512dq", "-mfma")
_BF16_FLAGS = (*_AVX512_FLAGS, "-mavx512bw", "-mavx512bf16")

# From the smallest to the largest. `generic` stands for processors that have none of the others.
X86 = (
    InstructionSet("generic", limits={"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}),
    InstructionSet("avx2", ("-mavx2", "-mfma"), _AVX2, {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}),
    InstructionSet("avx512", _AVX512_FLAGS, _AVX512, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}),
    InstructionSet("avx512_bf16", _BF16_FLAGS, _AVX512 | {"avx512_bf16"}, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}),
    InstructionSet(
        "amx",
        _BF16_FLAGS,
        _AVX512 | {"avx512_bf16", "amx_tile", "amx_bf16"},
        matrix_flags=("-mamx-tile", "-mamx-bf16", "-mavx512f", "-mavx512bw", "-mavx512bf16", "-mfma"),
    ),
)
ARM64 = (InstructionSet("neon"),)  # part of every processor of this kind
OTHERS = (InstructionSet("generic"),)


def list_all() -> tuple[InstructionSet, ...]:
    """Return the sets of all processors of this machine's architecture, from the smallest to the largest."""
    machine = platform.machine().lower()
    return X86 if machine in ("x86_64", "amd64") else ARM64 if machine in ("arm64", "aarch64") else OTHERS


def available() -> tuple[InstructionSet, ...]:
    """Return the sets that this process can use, from the smallest to the largest."""
    import torch  # not earlier: `limit_pytorch` and the build of the package run without it

    by_pytorch = FOUND_BY_PYTORCH.get(torch.backends.cpu.get_cpu_capability(), frozenset())
    features = by_pytorch | (read_linux_features() - _AVX512)
    return tuple(each for each in list_all() if each.features <= features)


def chosen() -> InstructionSet:
    """Return the set that HIFIGAN_CPU_ISA names, or else the largest one available.

    Raises:
        InputError: this machine does not have the set that the variable names, or the name is unknown.
    """
    sets = {each.name: each for each in available()}
    name = os.environ.get(VARIABLE) or list(sets)[-1]
    if name not in sets:
        raise InputError(f"{VARIABLE}: {name} is not for this machine, which runs {', '.join(sets)}")
    return sets[name]


def limit_pytorch() -> None:
    """Keep PyTorch and oneDNN within the set that HIFIGAN_CPU_ISA names. Both look before they first compute.

    Limits that the user has set stay. A set that the processor does not have is left to `chosen` to refuse.
    """
    name = os.environ.get(VARIABLE)
    for each in list_all() if name else ():
        if each.name == name and each.features <= read_linux_features():
            for variable, value in each.limits.items():
                os.environ.setdefault(variable, value)


def read_linux_features() -> frozenset[str]:
    """Return the processor's features by Linux's names, or nothing on other systems."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next(
                (frozenset(line.split(":")[1].split()) for line in lines if line.startswith("flags")), frozenset()
            )
    except OSError:
        return frozenset()
