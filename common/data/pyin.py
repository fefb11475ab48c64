"""Probabilistic YIN: the fundamental frequency of speech, as vectorised numpy.

De Cheveigné and Kawahara 2002 ("YIN"), and Mauch and Dixon 2014 ("pYIN"), with librosa's parameters, whose results
these are.

Shapes: F frames, W samples of a frame, P lags, C candidates of a frame, K thresholds, B pitch bins.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.special

NUM_THRESHOLDS = 100
THRESHOLD_PRIOR = (2, 18)  # beta distribution of YIN's absolute threshold: mean 0.1
PERIOD_DECAY = math.exp(-2)  # each further minimum below the threshold is so much less likely to be the period
NO_TROUGH_PROB = 0.01  # of the global minimum, where no minimum is below the threshold
BINS_PER_SEMITONE = 10
OCTAVES_PER_SEC = 35.92  # pitch changes no faster
SWITCH_PROB = 0.01  # between voiced and unvoiced, from a frame to the next
# Logarithm of a probability of 0: where all else is impossible, one impossible step is better than two.
IMPOSSIBLE = math.log(np.finfo(np.float64).tiny)
CHUNK_FRAMES = 128  # analysed at a time: the tables stay in the cache


class Track(NamedTuple):
    """Of each frame [F]: frequency in Hz (0 where unvoiced), and the probability that it is voiced."""

    f0_hz: np.ndarray
    voiced_prob: np.ndarray


class Candidates(NamedTuple):
    """Periods that frames may have, [N] over all frames: the frame, the lag in samples, the probability."""

    frame: np.ndarray
    lag: np.ndarray
    prob: np.ndarray


@dataclasses.dataclass(frozen=True)
class Pyin:
    """Tracks the pitch of one voice.

    Attributes:
        sampling_rate: of the audio, in Hz.
        hop_length: samples from one frame to the next; frame k is centred on sample hop_length * k.
        frame_length: W.
        fmin_hz: lowest frequency, with a period below frame_length - 1 samples.
        fmax_hz: highest frequency.
    """

    sampling_rate: int
    hop_length: int
    frame_length: int
    fmin_hz: float
    fmax_hz: float

    @property
    def shortest(self) -> int:
        return max(1, math.floor(self.sampling_rate / self.fmax_hz))

    @property
    def longest(self) -> int:
        return math.ceil(self.sampling_rate / self.fmin_hz)

    @property
    def num_bins(self) -> int:
        return math.floor(12 * BINS_PER_SEMITONE * math.log2(self.fmax_hz / self.fmin_hz)) + 1

    @property
    def reach(self) -> int:
        """Pitch bins that the pitch can go up or down from a frame to the next."""
        semitones = round(12 * OCTAVES_PER_SEC * self.hop_length / self.sampling_rate)
        return semitones * BINS_PER_SEMITONE // 2

    def __call__(self, wav: np.ndarray) -> Track:
        """wav [T] -> track of T // hop_length + 1 frames; beyond its ends there is silence.

        Memory: 24 bytes for each frame and pitch bin, 1.2 MB for a second of speech at 22,050 Hz.
        """
        padded = np.pad(wav.astype(np.float64), self.frame_length // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.frame_length)[:: self.hop_length]
        voiced = np.full((len(frames), self.num_bins), IMPOSSIBLE)
        voiced_prob = np.zeros(len(frames))
        for start in range(0, len(frames), CHUNK_FRAMES):
            chunk = slice(start, start + CHUNK_FRAMES)
            found = candidates(normalised_difference(frames[chunk], self.shortest, self.longest), self.shortest)
            octaves = np.log2(self.sampling_rate / found.lag / self.fmin_hz)
            bins = np.round(12 * BINS_PER_SEMITONE * octaves).astype(int).clip(0, self.num_bins)
            prob = np.zeros((len(frames[chunk]), self.num_bins + 1))  # the last column: above fmax_hz, not used
            prob[found.frame, bins] = found.prob  # of two candidates in one bin the later one stays
            voiced[chunk] = _log(prob[:, :-1])
            voiced_prob[chunk] = prob[:, :-1].sum(axis=1).clip(0, 1)
        unvoiced = _log((1 - voiced_prob) / self.num_bins)
        path = most_likely_path(voiced, unvoiced, self.reach)
        scale_hz = self.fmin_hz * 2 ** (np.arange(self.num_bins) / (12 * BINS_PER_SEMITONE))
        return Track(np.where(path < 0, 0, scale_hz[path]), voiced_prob)


def normalised_difference(frames: np.ndarray, shortest: int, longest: int) -> np.ndarray:
    """YIN's cumulative mean normalised difference (equations 6 and 8) of frames [F, W].

    The difference of a frame to itself, moved by a lag, has W terms for each lag: beyond the frame there is silence.

    Returns:
        [F, P] for the lags `shortest` to `longest`, in samples.
    """
    length = frames.shape[1]
    fft_length = scipy.fft.next_fast_len(length + longest, real=True)
    spectrum = scipy.fft.rfft(frames, fft_length, axis=1)
    autocorrelation = scipy.fft.irfft(np.square(spectrum.real) + np.square(spectrum.imag), fft_length, axis=1)
    energy = np.square(frames).sum(axis=1, keepdims=True)
    head = np.cumsum(np.square(frames[:, :longest]), axis=1)  # what a lag of 1, 2, ... moves out of the frame
    difference = 2 * energy - head - 2 * autocorrelation[:, 1 : longest + 1]
    difference[:, 0] += head[:, 0]  # librosa counts this term, which matters to the mean alone, and in its sixth digit
    mean = np.cumsum(difference, axis=1) / np.arange(1, longest + 1)
    wanted = slice(shortest - 1, None)
    return difference[:, wanted] / (mean[:, wanted] + np.finfo(np.float64).tiny)


def candidates(difference: np.ndarray, shortest: int) -> Candidates:
    """Minima of normalised differences [F, P], and how likely each is the period.

    The lag is that of the parabola through a minimum and its neighbours.
    """
    is_trough = np.zeros(difference.shape, dtype=bool)
    before, here, after = difference[:, :-2], difference[:, 1:-1], difference[:, 2:]
    is_trough[:, 0] = difference[:, 0] < difference[:, 1]
    is_trough[:, 1:-1] = (here < before) & (here <= after)
    is_trough[:, -1] = difference[:, -1] < difference[:, -2]
    frame, place = np.nonzero(is_trough)  # frame by frame, short lags first
    prob = _probabilities(frame, difference[frame, place], len(difference))
    lag = shortest + place + _parabolic_shift(difference, frame, place)
    possible = prob > 0
    return Candidates(frame[possible], lag[possible], prob[possible])


def _probabilities(frame: np.ndarray, depth: np.ndarray, num_frames: int) -> np.ndarray:
    """How likely each minimum is the period (section 2.1 of pYIN), from its frame [N] and its depth [N].

    Over all thresholds, weighted by their prior: the first minimum of a frame that is below the threshold is the
    likeliest, the next ones less and less. Where none is, the deepest one is the period, or rather none.
    """
    count = np.bincount(frame, minlength=num_frames)
    begin = np.cumsum(count) - count
    column = np.arange(len(frame)) - begin[frame]
    depths = np.full((num_frames, count.max(initial=1)), np.inf)  # [F, C]
    depths[frame, column] = depth

    edges = np.linspace(0, 1, NUM_THRESHOLDS + 1)
    thresholds, prior = edges[1:], np.diff(scipy.special.betainc(*THRESHOLD_PRIOR, edges))
    num_below = np.zeros((num_frames, NUM_THRESHOLDS), dtype=int)
    for column_depths in depths.T:
        num_below += column_depths[:, None] < thresholds
    # The likelihoods 1, e^-2, e^-4, ... of the minima below a threshold, scaled to the sum 1, and by the prior.
    share = prior * (1 - PERIOD_DECAY) / (1 - PERIOD_DECAY ** np.maximum(num_below, 1))
    prob = np.empty_like(depths)
    for c, column_depths in enumerate(depths.T):
        taken = np.where(column_depths[:, None] < thresholds, share, 0)
        prob[:, c] = taken.sum(axis=1)
        share -= (1 - PERIOD_DECAY) * taken
    prob[np.arange(num_frames), depths.argmin(axis=1)] += NO_TROUGH_PROB * np.where(num_below, 0, prior).sum(axis=1)
    return prob[frame, column]


def _parabolic_shift(values: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """How far the vertex of the parabola through a minimum and its neighbours lies beside it; 0 at the edges."""
    inner = (column > 0) & (column < values.shape[1] - 1)
    column = column.clip(1, values.shape[1] - 2)
    before, here, after = (values[row, column + step] for step in (-1, 0, 1))
    slope, curvature = (after - before) / 2, after + before - 2 * here
    usable = inner & (np.abs(slope) < np.abs(curvature))
    return np.where(usable, -slope / np.where(usable, curvature, 1), 0)


def most_likely_path(voiced: np.ndarray, unvoiced: np.ndarray, reach: int) -> np.ndarray:
    """The sequence of states with the highest probability (section 2.2 of pYIN), by Viterbi's algorithm.

    A state is a pitch bin, voiced or not. The pitch goes at most `reach` bins up or down, near steps being likelier, so
    that each state has few predecessors. The sequence begins anywhere.

    Args:
        voiced: [F, B] log-probability of each bin, `IMPOSSIBLE` where there is no candidate.
        unvoiced: [F] log-probability of each bin where the frame is unvoiced.
        reach: in bins.

    Returns:
        [F], the bin of each frame, -1 where it is unvoiced.
    """
    num_frames, num_bins = voiced.shape
    distance = np.abs(np.arange(-reach, reach + 1))
    step = np.log(reach + 1.0 - distance)
    # From each bin the probabilities have the sum 1, also where some steps would lead out of the range.
    leave = np.log(np.convolve(np.ones(num_bins), np.exp(step))[reach : reach + num_bins])
    keep, switch = math.log(1 - SWITCH_PROB), math.log(SWITCH_PROB)

    # best[t, :, b]: log-probability of the best sequence that ends in bin b at time t, voiced or unvoiced.
    best = np.empty((num_frames, 2, num_bins))
    best[0] = -math.log(2 * num_bins)
    best[0, 0] += voiced[0]
    best[0, 1] += unvoiced[0]
    departing = np.full((2, num_bins + 2 * reach), -np.inf)
    near = np.lib.stride_tricks.sliding_window_view(departing, num_bins, axis=1).transpose(1, 0, 2)
    up, down, by_distance = near[reach:], near[reach::-1], step[reach:, None, None]
    scores = np.empty(up.shape)
    for t in range(1, num_frames):
        np.subtract(best[t - 1], leave, out=departing[:, reach : reach + num_bins])
        np.maximum(up, down, out=scores)  # the better one of the two bins at each distance
        arriving = np.add(scores, by_distance, out=scores).max(axis=0)
        np.maximum(arriving + keep, arriving[::-1] + switch, out=best[t])
        np.maximum(best[t], best[t - 1].max() + IMPOSSIBLE, out=best[t])
        best[t, 0] += voiced[t]
        best[t, 1] += unvoiced[t]

    path = np.empty(num_frames, dtype=int)
    kind, place = divmod(int(best[-1].argmax()), num_bins)
    for t in range(num_frames - 1, 0, -1):
        path[t] = -1 if kind else place
        low, high = max(0, place - reach), min(num_bins, place + reach + 1)
        arriving = best[t - 1, :, low:high] - leave[low:high] + step[low - place + reach : high - place + reach]
        arriving += np.where([[kind == 0], [kind == 1]], keep, switch)
        if arriving.max() < best[t - 1].max() + IMPOSSIBLE:
            kind, place = divmod(int(best[t - 1].argmax()), num_bins)
        else:
            kind, offset = divmod(int(arriving.argmax()), high - low)
            place = low + offset
    path[0] = -1 if kind else place
    return path


def _log(prob: np.ndarray) -> np.ndarray:
    return np.log(prob + np.finfo(np.float64).tiny)
