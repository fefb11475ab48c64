"""Whether given mels belong to their audio: the delay between them, their likeness and their level.

Shapes: L frames, M mel bands. The limits were chosen on LJSpeech with mels smoothed over time and bands, averaged over
whole phonemes, with noise, and bent in time; all of these pass, and an error of one frame or of 6 dB never does.
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

LARGEST_LAG = 10  # frames that are looked for to either side
SHORTEST = 2 * LARGEST_LAG  # frames; of shorter clips neither delay nor likeness can be told
LIKENESS = 0.35  # right pairs correlate with 0.6 and more, clips of other words with 0.07 in the median
LAG = 0.75  # frames; beyond one frame's rounding the median is a delay
LAG_OF_PHASE = 0.3  # frames; half a frame is the difference between the two framings
PHASE_CLIPS = 10  # of fewer clips parts of a frame cannot be told
LAG_OF_CLIP = 1.5  # frames by which a single clip may be off; acoustic models are not exact within a phoneme
ODD_SHARE = 0.25  # of the clips, above which it is no longer chance
LEVEL = 0.35  # natural logarithm, 3 dB; right mels are within 0.02 in the median of all clips
_DB = 20 / math.log(10)


class Fit(NamedTuple):
    """How a given mel lies over the one of its audio.

    Attributes:
        lag_frames: above 0 where the given mel is late.
        likeness: correlation of both at this lag, -1 to 1.
        level: mean difference of the natural logarithms, above 0 where the given mel is louder.
    """

    lag_frames: float
    likeness: float
    level: float


def fit_of(given: np.ndarray, real: np.ndarray) -> Fit | None:
    """Compares a given mel [M, L] with that of its audio [M, L']; None for clips that are too short, or silent."""
    frames = min(given.shape[1], real.shape[1])
    given, real = given[:, :frames], real[:, :frames]
    audible = real > SILENCE + 1  # what lies on the floor does not follow the level
    if frames < SHORTEST or audible.mean() < 0.1:
        return None
    lags = np.arange(-LARGEST_LAG, LARGEST_LAG + 1)
    # Each band without its mean, so that the shape of the spectrum, equal in all clips, does not count.
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
    """Where between its neighbours the parabola through them and a highest value has its top, in steps from it."""
    if not 0 < i < len(values) - 1:
        return 0.0
    before, top, after = values[i - 1 : i + 2]
    bend = before - 2 * top + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def judge(fits: Sequence[Fit], mels: Sequence[Path], framing: str, any_phase: bool) -> None:
    """Refuses mels that as a whole are late or early, louder or softer than their audio, or not of it.

    Args:
        fits: of a sample of clips; mels: their files.
        framing: of the mels, as far as it is known.
        any_phase: half a frame is allowed, since the user chose the framing.

    Raises:
        InputError: what is wrong, by how much, an example, and what it comes from.
    """
    if not fits:
        return
    lags, likenesses, levels = (np.array(values) for values in zip(*fits, strict=True))
    lag, likeness, level = (float(np.median(values)) for values in (lags, likenesses, levels))

    def example(values: np.ndarray, median: float) -> Path:
        return mels[int(np.abs(values - median).argmin())]

    if likeness < LIKENESS:
        raise InputError(
            f"{example(likenesses, likeness)}: these mels do not resemble their audio (correlation {likeness:.2f}, "
            f"median of {len(fits)} clips); they belong to other clips, or their model is not trained"
        )
    half = abs(lag) > LAG_OF_PHASE and len(fits) >= PHASE_CLIPS
    largest = LAG if len(fits) >= PHASE_CLIPS else LAG_OF_CLIP
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
    if abs(level) > LEVEL:
        raise InputError(
            f"{example(levels, level)}: these mels are {abs(level) * _DB:.1f} dB {'louder' if level > 0 else 'softer'} "
            f"than their audio (median of {len(fits)} clips); it was normalised or scaled before or after they were "
            "made, or they are no natural logarithms of magnitudes (log10, dB, power)"
        )
    odd = [i for i, fit in enumerate(fits) if abs(fit.lag_frames - lag) > LAG_OF_CLIP or fit.likeness < LIKENESS]
    if not odd:
        return
    shown = ", ".join(f"{mels[i]} ({lags[i]:+.1f} frames, correlation {likenesses[i]:.2f})" for i in odd[:3])
    message = f"{len(odd)} of {len(fits)} mels do not lie over their audio: {shown}"
    if len(odd) > ODD_SHARE * len(fits):
        raise InputError(message)
    log.warning("%s%s", message, ", ..." if len(odd) > 3 else "")


def _cause_of_lag(lag: float, framing: str) -> str:
    # Frame k of a "tacotron" mel is centred half a frame before that of a "vocoder" mel.
    other = "tacotron" if framing == "vocoder" else "vocoder"
    if abs(lag) <= LAG and (lag > 0) == (framing == "vocoder"):
        return f"they are not {framing}-framed: give --input-mels-framing {other}"
    return "their audio was trimmed, padded or replaced, or their hop or framing is another; make them again"
