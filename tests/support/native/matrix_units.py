"""Matrix units (AMX) emulated with AVX-512, so that `amx.c` also runs on processors without them."""

from __future__ import annotations

import ctypes
import functools
import tempfile
from unittest import mock

from hifigan.engine.native import amx, vector
from hifigan.engine.native.compiler import load_library
from hifigan.engine.native.instruction_sets import X86, available
from tests.support.paths import REPOSITORY

EMULATION = REPOSITORY / "tests" / "hifigan" / "engine" / "native" / "amx_emulated.h"


def emulation_flags() -> tuple[str, ...]:
    """Return the compiler's flags for `amx.c` with emulated units."""
    return (*(X86[-1].matrix_flags or ()), "-include", str(EMULATION))


@functools.cache
def emulated_library() -> ctypes.CDLL | None:
    """Return `amx.c` with emulated units, or None without a C compiler or the AVX-512 BF16 that the rest needs."""
    if not any(each.has_bf16 for each in available()) or vector.library() is None:
        return None
    # The user's cache would not notice a change of the emulation.
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict("os.environ", XDG_CACHE_HOME=folder):
        return load_library(amx.SOURCE, emulation_flags(), "no emulation", amx.SIGNATURES)
