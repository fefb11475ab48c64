"""Voices: a FastPitch model and a generator that belong together, as a folder and for Python."""

from voice.speech import Voice, load_voice

__all__ = ["Voice", "load_voice"]
