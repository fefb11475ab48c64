"""Find speech in a recording: a model finds its places, and the energy refines their ends.

Shapes: T samples, N blocks of the model, F frames of energy, B parts of a recording that run as one batch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from common.audio_files import find_peak, resample
from common.errors import InputError
from voice.recordings.audio.reading import RATE_HZ

MODEL_RATE_HZ = 16_000
BLOCK = 512  # samples at 16 kHz that the model takes
WARM_UP_BLOCKS = 64  # 2 s before each part of the batch, for the state of the model
PARTS = 16  # largest batch; one part is slower, more of them gain nothing
SHORTEST_PART = 8 * WARM_UP_BLOCKS
STARTS_AT, ENDS_AT = 0.5, 0.3  # probability
SHORTEST_SEC = 0.1  # shorter sounds are clicks
JOIN_SEC = 0.1  # shorter gaps are closures of plosives
HOP = 220  # samples of a frame of energy, about 10 ms
SPEECH_ABOVE_NOISE_DB = 6.0  # weak s, f, h and breath at the ends
REACH_SEC = 0.3  # of weak sounds beyond the model's place
GAP_SEC = 0.05  # within them, such as the closure before a final t
_LEVEL = 0.1  # RMS of the loud parts that the model gets
_EMPHASIS = 0.97  # weakens rumble against fricatives


class Span(NamedTuple):
    """A part of a recording, in seconds."""

    start: float
    end: float


def find_speech(wav: np.ndarray) -> list[Span]:
    """Return the spans of speech in [T] at 22050 Hz, in order, with gaps of at least 0.1 s.

    Raises:
        InputError: the package silero-vad is missing.
    """
    spans = _spans_above(speech_probabilities(wav))
    if not spans:
        return []
    end_sec = len(wav) / RATE_HZ
    levels, noise_db = _levels(wav, spans)
    return join_near([_widen(span, levels, noise_db, end_sec) for span in spans], JOIN_SEC)


def speech_probabilities(wav: np.ndarray) -> np.ndarray:
    """Return the probability of speech [N] for each 32 ms of [T] at 22050 Hz.

    The model has a state, so it takes blocks one after the other. A long recording runs as a batch of parts, each with
    two seconds before it.
    """
    loud = np.sqrt(np.percentile(_frame_powers(wav), 95)) if len(wav) >= HOP else 0.0
    if loud == 0:
        return np.zeros(0, np.float32)
    made = resample(wav * np.float32(_LEVEL / loud), RATE_HZ, MODEL_RATE_HZ).astype(np.float32)
    made = np.clip(made, -1, 1) if find_peak(made) > 1 else made
    blocks = -(-len(made) // BLOCK)
    parts = max(1, min(PARTS, blocks // SHORTEST_PART))
    length = -(-blocks // parts)
    padded = np.zeros((WARM_UP_BLOCKS + parts * length) * BLOCK, np.float32)
    padded[WARM_UP_BLOCKS * BLOCK :][: len(made)] = made
    width = (WARM_UP_BLOCKS + length) * BLOCK
    batch = np.stack([padded[part * length * BLOCK :][:width] for part in range(parts)])
    found = _run_model(torch.from_numpy(batch))
    return found[:, WARM_UP_BLOCKS:].reshape(-1)[:blocks]


@torch.inference_mode()
def _run_model(batch: torch.Tensor) -> np.ndarray:
    """Return the probabilities [B, N] of a batch [B, N * 512]."""
    model = _load_model()
    model.reset_states()
    made = [model(block, MODEL_RATE_HZ)[:, 0] for block in batch.split(BLOCK, dim=1)]
    model.reset_states()
    return torch.stack(made, dim=1).numpy()


@functools.lru_cache(maxsize=1)
def _load_model() -> Any:
    try:
        import silero_vad
    except ImportError:
        raise InputError("finding speech needs the package silero-vad: pip install -r requirements-voice.txt") from None
    return silero_vad.load_silero_vad()


def _spans_above(probabilities: np.ndarray) -> list[Span]:
    """Return where the probability exceeds a threshold, until it falls below a lower one."""
    block_sec = BLOCK / MODEL_RATE_HZ
    spans = []
    for start, end in _runs(probabilities > ENDS_AT):
        if probabilities[start:end].max() > STARTS_AT:
            spans.append(Span(start * block_sec, end * block_sec))
    return [span for span in join_near(spans, JOIN_SEC) if span.end - span.start >= SHORTEST_SEC]


def _runs(flags: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the first place of each run of true values, and the place after it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def join_near(spans: Sequence[Span], gap_sec: float) -> list[Span]:
    """Join spans whose gap is shorter than `gap_sec`."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start - joined[-1].end < gap_sec:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def frame_levels_db(wav: np.ndarray) -> np.ndarray:
    """Return the level [F] of each 10 ms of [T], smoothed over three frames. High frequencies count more."""
    power = _frame_powers(np.diff(wav, prepend=wav[:1] * np.float32(1 - _EMPHASIS)) if len(wav) else wav)
    return 10 * np.log10(np.convolve(power, np.ones(3) / 3, "same") + 1e-14)


def _frame_powers(wav: np.ndarray) -> np.ndarray:
    frames = wav[: len(wav) // HOP * HOP].reshape(-1, HOP)
    return np.einsum("fh,fh->f", frames, frames, dtype=np.float64) / HOP


def _levels(wav: np.ndarray, spans: Sequence[Span]) -> tuple[np.ndarray, float]:
    """Return the levels of the frames [F], and the level of the noise between the spans."""
    levels = frame_levels_db(wav)
    quiet = np.ones(len(levels), bool)
    for span in spans:
        quiet[_frame(span.start - REACH_SEC / 2) : _frame(span.end + REACH_SEC / 2) + 1] = False
    noise = np.median(levels[quiet]) if quiet.sum() * HOP > RATE_HZ / 2 else np.percentile(levels, 5)
    return levels, float(noise)


def _frame(seconds: float) -> int:
    return max(0, round(seconds * RATE_HZ / HOP))


def _widen(span: Span, levels: np.ndarray, noise_db: float, end_sec: float) -> Span:
    """Move the ends of a span outwards over weak sounds above the noise."""
    loud = levels > noise_db + SPEECH_ABOVE_NOISE_DB
    reach, start, end = _frame(REACH_SEC), _frame(span.start), _frame(span.end)
    before = _reach(loud[max(0, start - reach) : start][::-1])
    after = _reach(loud[end : end + reach])
    frame_sec = HOP / RATE_HZ
    return Span(max(0.0, span.start - before * frame_sec), min(end_sec, span.end + after * frame_sec))


def _reach(loud: np.ndarray) -> int:
    """Return the number of frames up to the last loud one before a gap."""
    last = -1
    for place in np.flatnonzero(loud):
        if (place - last) * HOP > GAP_SEC * RATE_HZ:
            break
        last = int(place)
    return last + 1
