"""How the C library deals with memory that is freed."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # parameters of glibc's `mallopt`


def keep_freed_memory() -> bool:
    """Lets `malloc` keep what this process frees, instead of giving large blocks back to the operating system.

    Work that repeats itself, such as steps of training, then finds its memory again; given back, each page of it would
    be handed out and cleared anew. The process stays as large as it once was.

    Returns:
        Whether this C library can do so (glibc).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and mallopt(M_MMAP_MAX, 0) == 1 and mallopt(M_TRIM_THRESHOLD, -1) == 1
