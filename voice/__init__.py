"""Voices: a FastPitch model and a generator that belong together, as a folder and for Python.

The names below are imported when they are first used, as in `hifigan`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voice.speech import Voice, load_voice

__all__ = ["Voice", "load_voice"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from voice import speech

        return getattr(speech, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
