"""Probabilistic YIN: the fundamental frequency of speech, as vectorised numpy.

See de Cheveigné and Kawahara 2002 ("YIN"), and Mauch and Dixon 2014 ("pYIN"). Parameters and results are librosa's.

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
PERIOD_DECAY = math.exp(-2)  # likelihood of each further minimum below the threshold, relative to the one before
NO_TROUGH_PROB = 0.01  # probability of the global minimum if no minimum is below the threshold
BINS_PER_SEMITONE = 10
MAX_OCTAVES_PER_SEC = 35.92  # fastest change of pitch
SWITCH_PROB = 0.01  # probability of a change between voiced and unvoiced from one frame to the next
# Logarithm of a probability of 0. It is finite, so that one impossible step is better than two.
IMPOSSIBLE = math.log(np.finfo(np.float64).tiny)
CHUNK_FRAMES = 128  # frames analysed at a time, so that the tables stay in the cache


class Track(NamedTuple):
    """Frequency in Hz of each frame [F], 0 if unvoiced, and the probability that it is voiced."""

    f0_hz: np.ndarray
    voiced_prob: np.ndarray


class Candidates(NamedTuple):
    """Candidate periods [N] of all frames: the frame, the lag in samples, and the probability."""

    frame: np.ndarray
    lag: np.ndarray
    prob: np.ndarray


@dataclasses.dataclass(frozen=True)
class Pyin:
    """Pitch tracker for one voice.

    Attributes:
        sampling_rate: rate of the audio, in Hz.
        hop_length: samples between frames. Frame k is centred on sample hop_length * k.
        frame_length: W, in samples.
        fmin_hz: lowest frequency. Its period must be below frame_length - 1 samples.
        fmax_hz: highest frequency.
    """

    sampling_rate: int
    hop_length: int
    frame_length: int
    fmin_hz: float
    fmax_hz: float

    @property
    def min_lag(self) -> int:
        return max(1, math.floor(self.sampling_rate / self.fmax_hz))

    @property
    def max_lag(self) -> int:
        return math.ceil(self.sampling_rate / self.fmin_hz)

    @property
    def num_bins(self) -> int:
        return math.floor(12 * BINS_PER_SEMITONE * math.log2(self.fmax_hz / self.fmin_hz)) + 1

    @property
    def reach(self) -> int:
        """Maximum change of pitch from one frame to the next, in pitch bins."""
        semitones = round(12 * MAX_OCTAVES_PER_SEC * self.hop_length / self.sampling_rate)
        return semitones * BINS_PER_SEMITONE // 2

    def __call__(self, wav: np.ndarray) -> Track:
        """Track the pitch of wav [T] in T // hop_length + 1 frames, with silence beyond its ends.

        Memory: 24 bytes per frame and pitch bin, or 1.2 MB per second of speech at 22,050 Hz.
        """
        padded = np.pad(wav.astype(np.float64), self.frame_length // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.frame_length)[:: self.hop_length]
        voiced = np.full((len(frames), self.num_bins), IMPOSSIBLE)
        voiced_prob = np.zeros(len(frames))
        for start in range(0, len(frames), CHUNK_FRAMES):
            chunk = slice(start, start + CHUNK_FRAMES)
            found = find_candidates(normalise_difference(frames[chunk], self.min_lag, self.max_lag), self.min_lag)
            octaves = np.log2(self.sampling_rate / found.lag / self.fmin_hz)
            bins = np.round(12 * BINS_PER_SEMITONE * octaves).astype(int).clip(0, self.num_bins)
            prob = np.zeros((len(frames[chunk]), self.num_bins + 1))  # the last column: above fmax_hz, not used
            prob[found.frame, bins] = found.prob  # the later of two candidates in one bin wins
            voiced[chunk] = _log(prob[:, :-1])
            voiced_prob[chunk] = prob[:, :-1].sum(axis=1).clip(0, 1)
        unvoiced = _log((1 - voiced_prob) / self.num_bins)
        path = find_most_likely_path(voiced, unvoiced, self.reach)
        scale_hz = self.fmin_hz * 2 ** (np.arange(self.num_bins) / (12 * BINS_PER_SEMITONE))
        return Track(np.where(path < 0, 0, scale_hz[path]), voiced_prob)


def normalise_difference(frames: np.ndarray, min_lag: int, max_lag: int) -> np.ndarray:
    """Compute YIN's cumulative mean normalised difference (equations 6 and 8) of frames [F, W].

    The difference between a frame and itself, shifted by a lag, has W terms for each lag: beyond the frame is silence.

    Returns:
        [F, P] for the lags `min_lag` to `max_lag`, in samples.
    """
    length = frames.shape[1]
    fft_length = scipy.fft.next_fast_len(length + max_lag, real=True)
    spectrum = scipy.fft.rfft(frames, fft_length, axis=1)
    autocorrelation = scipy.fft.irfft(np.square(spectrum.real) + np.square(spectrum.imag), fft_length, axis=1)
    energy = np.square(frames).sum(axis=1, keepdims=True)
    head = np.cumsum(np.square(frames[:, :max_lag]), axis=1)  # energy that a lag of 1, 2, ... shifts out of the frame
    difference = 2 * energy - head - 2 * autocorrelation[:, 1 : max_lag + 1]
    difference[:, 0] += head[:, 0]  # as in librosa (it changes the mean in its sixth digit)
    mean = np.cumsum(difference, axis=1) / np.arange(1, max_lag + 1)
    wanted = slice(min_lag - 1, None)
    return difference[:, wanted] / (mean[:, wanted] + np.finfo(np.float64).tiny)


def find_candidates(difference: np.ndarray, min_lag: int) -> Candidates:
    """Find the minima of normalised differences [F, P], and the probability that each is the period.

    The lag is at the vertex of the parabola through a minimum and its neighbours.
    """
    is_trough = np.zeros(difference.shape, dtype=bool)
    before, here, after = difference[:, :-2], difference[:, 1:-1], difference[:, 2:]
    is_trough[:, 0] = difference[:, 0] < difference[:, 1]
    is_trough[:, 1:-1] = (here < before) & (here <= after)
    is_trough[:, -1] = difference[:, -1] < difference[:, -2]
    frame, place = np.nonzero(is_trough)  # frame by frame, short lags first
    prob = _compute_probabilities(frame, difference[frame, place], len(difference))
    lag = min_lag + place + _compute_parabolic_shift(difference, frame, place)
    possible = prob > 0
    return Candidates(frame[possible], lag[possible], prob[possible])


def _compute_probabilities(frame: np.ndarray, depth: np.ndarray, num_frames: int) -> np.ndarray:
    """Compute the probability that each minimum is the period (section 2.1 of pYIN), from its frame [N] and depth [N].

    Sums over all thresholds, weighted by their prior. The first minimum of a frame below the threshold is the
    likeliest, and each later one less likely. If none is below, the deepest is the period, with a low probability.
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
    # Likelihoods 1, e^-2, e^-4, ... of the minima below a threshold, normalised to sum 1, times the prior.
    share = prior * (1 - PERIOD_DECAY) / (1 - PERIOD_DECAY ** np.maximum(num_below, 1))
    prob = np.empty_like(depths)
    for c, column_depths in enumerate(depths.T):
        taken = np.where(column_depths[:, None] < thresholds, share, 0)
        prob[:, c] = taken.sum(axis=1)
        share -= (1 - PERIOD_DECAY) * taken
    prob[np.arange(num_frames), depths.argmin(axis=1)] += NO_TROUGH_PROB * np.where(num_below, 0, prior).sum(axis=1)
    return prob[frame, column]


def _compute_parabolic_shift(values: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Compute the offset of the parabola's vertex from a minimum, in samples (0 at the edges)."""
    inner = (column > 0) & (column < values.shape[1] - 1)
    column = column.clip(1, values.shape[1] - 2)
    before, here, after = (values[row, column + step] for step in (-1, 0, 1))
    slope, curvature = (after - before) / 2, after + before - 2 * here
    usable = inner & (np.abs(slope) < np.abs(curvature))
    return np.where(usable, -slope / np.where(usable, curvature, 1), 0)


def find_most_likely_path(voiced: np.ndarray, unvoiced: np.ndarray, reach: int) -> np.ndarray:
    """Find the most likely sequence of states (section 2.2 of pYIN) with Viterbi's algorithm.

    A state is a pitch bin, voiced or unvoiced. The pitch moves at most `reach` bins up or down, so each state has few
    predecessors. Small steps are likelier. The sequence may begin in any state.

    Args:
        voiced: [F, B] log-probability of each bin, `IMPOSSIBLE` without a candidate.
        unvoiced: [F] log-probability of each bin if the frame is unvoiced.
        reach: maximum step, in bins.

    Returns:
        [F], the bin of each frame, -1 if unvoiced.
    """
    num_frames, num_bins = voiced.shape
    distance = np.abs(np.arange(-reach, reach + 1))
    step = np.log(reach + 1.0 - distance)
    # The probabilities of leaving each bin sum to 1, even where some steps would lead out of the range.
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
        np.maximum(up, down, out=scores)  # the better of the two bins at each distance
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
