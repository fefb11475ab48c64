"""A synthetic voice, for benchmarks and tests that need speech-like audio but no recordings."""

from __future__ import annotations

import numpy as np


def speechlike(seconds: float, sampling_rate: int = 22050, seed: int = 0, peak: float = 0.7) -> np.ndarray:
    """Return a gliding harmonic tone in noise that swells and fades, [T] in [-peak, peak]."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * sampling_rate)) / sampling_rate
    pitch_hz = 120 + 40 * np.sin(2 * np.pi * (0.7 * time + rng.random()))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / sampling_rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    wav = tone * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)) + 0.05 * rng.standard_normal(len(time))
    return wav / np.abs(wav).max() * peak
