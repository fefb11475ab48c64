"""The stand-in for PyTorch's CUDA library, compiled from guard.cpp on first use."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

from common.errors import InputError
from hifigan.engine.native.compiler import load_library

SOURCE = Path(__file__).with_name("guard.cpp")


def load_guard() -> None:
    """Make this process treat tensors without memory as on a GPU. It cannot be undone, so use a process of its own.

    Raises:
        InputError: a GPU is not simulated, because PyTorch is already imported or no C++ compiler works.
    """
    if "torch" in sys.modules:
        raise InputError("GPU simulation: PyTorch is imported, and has already looked for a GPU; start a new process")
    found = importlib.util.find_spec("torch")
    assert found is not None
    assert found.origin is not None
    torch = Path(found.origin).parent
    flags = (
        "-O1",  # nothing here is worth optimising
        "-std=c++20",
        f"-I{torch / 'include'}",
        f"-L{torch / 'lib'}",
        f"-Wl,--no-as-needed,-rpath,{torch / 'lib'}",
        *("-lc10", "-ltorch_cpu", "-lstdc++"),
        f'-DPYTORCH="{importlib.metadata.version("torch")}"',  # for the name in the cache
    )
    if load_library(SOURCE, flags, "a GPU cannot be simulated", {}) is None:
        raise InputError(
            f"GPU simulation: {SOURCE.name} cannot be compiled; install a C++ compiler such as g++, or name one in CC"
        )
