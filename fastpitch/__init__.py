"""FastPitch: text to mel spectrograms (Łańcucki 2020, arXiv:2006.06873), its aligner, losses and checkpoints.

The names below are imported when they are first used, as in `hifigan`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastpitch.checkpoint import load_fastpitch
    from fastpitch.config import FastPitchConfig
    from fastpitch.model import FastPitch, FastPitchOutput

__all__ = ["FastPitch", "FastPitchConfig", "FastPitchOutput", "load_fastpitch"]

_MODULES = {
    "FastPitch": "fastpitch.model",
    "FastPitchConfig": "fastpitch.config",
    "FastPitchOutput": "fastpitch.model",
    "load_fastpitch": "fastpitch.checkpoint",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
