"""FastPitch: text to mel spectrograms (Łańcucki 2020, arXiv:2006.06873), its aligner, losses and checkpoints."""

from fastpitch.checkpoint import load_fastpitch
from fastpitch.config import FastPitchConfig
from fastpitch.model import FastPitch, FastPitchOutput

__all__ = ["FastPitch", "FastPitchConfig", "FastPitchOutput", "load_fastpitch"]
