"""Loudness of the speech in a recording, its gain, and its ratio to the noise.

Shapes: T samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from common.audio_files import PEAK, find_peak
from common.errors import InputError
from voice.recordings.audio.quality import RecordingQuality
from voice.recordings.audio.reading import RATE_HZ
from voice.recordings.audio.speech_activity import Span

TARGET_LUFS = -23.0  # of EBU R 128, and the level of LJSpeech
MEASURED_SEC = 600.0  # of speech, spread over the recording: more does not change the loudness
PAUSE_EDGE_SEC = 0.1  # of a pause, which may hold reverberation
_FRAME = 441  # samples, 20 ms
_BLOCK_SEC = 0.4  # of ITU-R BS.1770; shorter speech is repeated


def measure_levels(quality: RecordingQuality, wav: np.ndarray, spans: Sequence[Span]) -> RecordingQuality:
    """Return the quality with the measurements that need the spans of speech in [T] at 22050 Hz.

    Raises:
        InputError: the package pyloudnorm is missing.
    """
    pieces = [wav[round(span.start * RATE_HZ) : round(span.end * RATE_HZ)] for span in spans]
    loudness = _loudness(pieces)
    peak = max(find_peak(piece) for piece in pieces)
    gain_db = min(TARGET_LUFS - loudness, float(20 * np.log10(PEAK / peak)))
    speech = float(np.mean([np.mean(piece.astype(np.float64) ** 2) for piece in pieces]))
    noise = _noise_power(wav, spans)
    return dataclasses.replace(
        quality,
        speech_sec=round(sum(span.end - span.start for span in spans), 3),
        loudness_lufs=round(loudness, 2),
        gain_db=round(gain_db, 3),
        snr_db=None if noise is None else round(float(10 * np.log10(max(speech - noise, 1e-12) / noise)), 1),
        noise_dbfs=None if noise is None else round(float(10 * np.log10(noise)), 1),
    )


def _loudness(pieces: Sequence[np.ndarray]) -> float:
    try:
        import pyloudnorm
    except ImportError:
        raise InputError("loudness needs the package pyloudnorm: pip install -r requirements-voice.txt") from None
    seconds = sum(map(len, pieces)) / RATE_HZ
    step = max(1, int(seconds / MEASURED_SEC))
    speech = np.concatenate(pieces[::step])
    if len(speech) < 2 * _BLOCK_SEC * RATE_HZ:
        speech = np.resize(speech, round(2 * _BLOCK_SEC * RATE_HZ))
    loudness = float(pyloudnorm.Meter(RATE_HZ).integrated_loudness(speech.astype(np.float64)))
    if np.isfinite(loudness):
        return loudness
    return float(10 * np.log10(np.mean(speech.astype(np.float64) ** 2) + 1e-12))  # below the gate of -70 LUFS


def _noise_power(wav: np.ndarray, spans: Sequence[Span]) -> float | None:
    """Return the median power of 20 ms in the pauses, which single knocks do not change. None without pauses."""
    starts = [0.0, *(span.end + PAUSE_EDGE_SEC for span in spans)]
    ends = [*(span.start - PAUSE_EDGE_SEC for span in spans), len(wav) / RATE_HZ]
    powers = []
    for start, end in zip(starts, ends, strict=True):
        pause = wav[round(start * RATE_HZ) : max(0, round(end * RATE_HZ))]
        if frames := len(pause) // _FRAME:
            powers.append(np.mean(pause[: frames * _FRAME].reshape(frames, _FRAME).astype(np.float64) ** 2, axis=1))
    if sum(map(len, powers)) < 10:
        return None
    return float(max(np.median(np.concatenate(powers)), 1e-12))
