"""Settings of the C library's memory allocator."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # parameters of glibc's `mallopt`


def keep_freed_memory() -> bool:
    """Make `malloc` keep freed memory instead of returning large blocks to the operating system.

    Repetitive work, such as training steps, then reuses its memory. Otherwise the system would clear and map each page
    again. The process never shrinks.

    Returns:
        Whether the C library supports this (glibc does).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and mallopt(M_MMAP_MAX, 0) == 1 and mallopt(M_TRIM_THRESHOLD, -1) == 1
