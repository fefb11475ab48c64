"""How a process asks the system for memory."""

from __future__ import annotations

import ctypes
import sys

# Of glibc's <malloc.h>.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed() -> None:
    """Large blocks that are freed are used again instead of going back to the system; nothing where this is not glibc.

    A step of training asks for the same large blocks as the one before. By default each is mapped anew, and its pages
    are zeroed at the first touch.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
