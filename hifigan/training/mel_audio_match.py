"""Check whether given mels match their audio: the delay between them, their likeness and their level.

Shapes: L frames, M mel bands. The limits were chosen on LJSpeech with mels smoothed over time and bands, averaged over
whole phonemes, with noise, and warped in time. All of these pass, and an error of one frame or of 6 dB never does.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.audio import SILENCE
from common.errors import InputError

log = logging.getLogger(__name__)

SEARCHED_LAG_FRAMES = 10  # to either side
SHORTEST_CLIP_FRAMES = 2 * SEARCHED_LAG_FRAMES  # shorter clips show neither delay nor likeness
MIN_CORRELATION = 0.35  # matching pairs correlate with 0.6 or more, clips of other words with 0.07 in the median
MAX_MEDIAN_LAG_FRAMES = 0.75  # a larger median exceeds rounding to whole frames, so it is a delay
MAX_PHASE_LAG_FRAMES = 0.3  # the two framings differ by half a frame
MIN_CLIPS_FOR_PHASE = 10  # fewer clips do not show fractions of a frame
MAX_CLIP_LAG_FRAMES = 1.5  # of a single clip, since acoustic models are not exact within a phoneme
MAX_ODD_SHARE = 0.25  # of the clips, since a larger share cannot be chance
MAX_LEVEL_DIFFERENCE_LN = 0.35  # natural logarithm, 3 dB (matching mels are within 0.02 in the median of all clips)
_DB_PER_LN = 20 / math.log(10)


class Fit(NamedTuple):
    """Comparison of a given mel with the mel of its audio.

    Attributes:
        lag_frames: above 0 if the given mel is late.
        likeness: correlation of both at this lag, -1 to 1.
        level: mean difference of the natural logarithms, above 0 if the given mel is louder.
    """

    lag_frames: float
    likeness: float
    level: float


def compare_mels(given: np.ndarray, real: np.ndarray) -> Fit | None:
    """Compare a given mel [M, L] with its audio's mel [M, L']. Return None for clips that are too short or silent."""
    frames = min(given.shape[1], real.shape[1])
    given, real = given[:, :frames], real[:, :frames]
    audible = real > SILENCE + 1  # values on the floor do not follow the level
    if frames < SHORTEST_CLIP_FRAMES or audible.mean() < 0.1:
        return None
    lags = np.arange(-SEARCHED_LAG_FRAMES, SEARCHED_LAG_FRAMES + 1)
    # Subtract the mean of each band, so that the average spectrum, which all clips share, does not count.
    x, y = (mel - mel.mean(axis=1, keepdims=True) for mel in (given, real))
    correlations = np.array([_correlation(x[:, max(0, k) :], y[:, max(0, -k) :]) for k in lags])
    best = int(correlations.argmax())
    lag = lags[best] + _vertex(correlations, best)
    return Fit(float(lag), float(correlations[best]), float((given - real)[audible].mean()))


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    frames = min(x.shape[1], y.shape[1])
    x, y = x[:, :frames], y[:, :frames]
    norm = float(np.sqrt(np.square(x).sum() * np.square(y).sum()))
    return float((x * y).sum()) / norm if norm > 0 else 0.0


def _vertex(values: np.ndarray, i: int) -> float:
    """Return the offset, in steps, from a highest value to the top of the parabola through it and its neighbours."""
    if not 0 < i < len(values) - 1:
        return 0.0
    before, top, after = values[i - 1 : i + 2]
    bend = before - 2 * top + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def check_fits(fits: Sequence[Fit], mels: Sequence[Path], framing: str, any_phase: bool) -> None:
    """Check that the mels as a whole match their audio in time, level and content.

    Args:
        fits: comparisons of a sample of clips.
        mels: files of the sample.
        framing: of the mels, as far as it is known.
        any_phase: accept half a frame, since the user chose the framing.

    Raises:
        InputError: the fault and its size, an example, and the likely cause.
    """
    if not fits:
        return
    lags, likenesses, levels = (np.array(values) for values in zip(*fits, strict=True))
    lag, likeness, level = (float(np.median(values)) for values in (lags, likenesses, levels))

    def example(values: np.ndarray, median: float) -> Path:
        return mels[int(np.abs(values - median).argmin())]

    if likeness < MIN_CORRELATION:
        raise InputError(
            f"{example(likenesses, likeness)}: these mels do not resemble their audio (correlation {likeness:.2f}, "
            f"median of {len(fits)} clips); they belong to other clips, or their model is not trained"
        )
    enough = len(fits) >= MIN_CLIPS_FOR_PHASE
    half = enough and abs(lag) > MAX_PHASE_LAG_FRAMES
    largest = MAX_MEDIAN_LAG_FRAMES if enough else MAX_CLIP_LAG_FRAMES
    if abs(lag) > largest or (half and not any_phase):
        raise InputError(
            f"{example(lags, lag)}: these mels are {abs(lag):.1f} frames {'late' if lag > 0 else 'early'} "
            f"(median of {len(fits)} clips); {_cause_of_lag(lag, framing)}"
        )
    if half:
        log.warning(
            "these mels are %.1f frames %s, as %s framing was chosen for them",
            abs(lag),
            "late" if lag > 0 else "early",
            framing,
        )
    if abs(level) > MAX_LEVEL_DIFFERENCE_LN:
        raise InputError(
            f"{example(levels, level)}: these mels are {abs(level) * _DB_PER_LN:.1f} dB "
            f"{'louder' if level > 0 else 'softer'} than their audio (median of {len(fits)} clips); it was "
            "normalised or scaled before or after they were made, or they are not natural logarithms of magnitudes "
            "(but log10, dB or power)"
        )
    odd = [
        i
        for i, fit in enumerate(fits)
        if abs(fit.lag_frames - lag) > MAX_CLIP_LAG_FRAMES or fit.likeness < MIN_CORRELATION
    ]
    if not odd:
        return
    shown = ", ".join(f"{mels[i]} ({lags[i]:+.1f} frames, correlation {likenesses[i]:.2f})" for i in odd[:3])
    message = f"{len(odd)} of {len(fits)} mels do not match their audio: {shown}"
    if len(odd) > MAX_ODD_SHARE * len(fits):
        raise InputError(message)
    log.warning("%s%s", message, ", ..." if len(odd) > 3 else "")


def _cause_of_lag(lag: float, framing: str) -> str:
    # Frame k of a "tacotron" mel is centred half a frame before frame k of a "vocoder" mel.
    other = "tacotron" if framing == "vocoder" else "vocoder"
    if abs(lag) <= MAX_MEDIAN_LAG_FRAMES and (lag > 0) == (framing == "vocoder"):
        return f"they are not {framing}-framed: give --input-mels-framing {other}"
    return "their audio was trimmed, padded or replaced, or their hop or framing differs; make them again"
