"""Choose the channel of a recording, or the mean of both channels.

Shapes: T samples, C channels, N frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

FRAME_SEC = 0.02
SILENT_DB = -70.0  # of full scale
FAR_BELOW_DB = 40.0  # a channel this much quieter than another one holds only crosstalk
SNR_MATTERS_DB = 3.0  # the mean of two channels gains at most 3 dB
SAME_CORRELATION = 0.9  # below it, averaging may cancel sounds that reach the microphones at different times
_IDENTICAL_CORRELATION = 1 - 1e-6
_TINY = 1e-12  # power


@dataclasses.dataclass(frozen=True)
class ChannelChoice:
    """Weights [C] of the channels, and the choice in words. "" for a mono file."""

    weights: np.ndarray
    reason: str


def choose_channels(blocks: Iterable[np.ndarray], sampling_rate: int) -> ChannelChoice:
    """Decide which channel of blocks [T, C] to use.

    Silent channels are ignored. Channels with the same sound are averaged, which reduces their noise. Of different or
    inverted channels, the one with the best ratio of loud to quiet frames is used.
    """
    hop = max(1, round(FRAME_SEC * sampling_rate))
    products: np.ndarray | None = None
    powers = []  # [N, C] for each block
    samples = 0
    for block in blocks:
        products = block.T @ block + (0 if products is None else products)
        samples += len(block)
        whole = len(block) // hop * hop
        powers.append(np.mean(block[:whole].reshape(-1, hop, block.shape[1]) ** 2, axis=1))
    if products is None or len(products) == 1:
        return ChannelChoice(np.ones(1), "")
    return _decide(products / samples, np.concatenate(powers))


def _decide(products: np.ndarray, powers: np.ndarray) -> ChannelChoice:
    """Choose by the mean products [C, C] of the channels and their powers [N, C] by frame."""
    level_db = _to_db(np.diag(products))
    channels = len(level_db)
    heard = np.flatnonzero(level_db > max(SILENT_DB, level_db.max() - FAR_BELOW_DB))
    if len(heard) == 0:
        return _single(int(level_db.argmax()), channels, "all channels are silent")
    if len(heard) == 1:
        return _single(int(heard[0]), channels, "the others are silent" if channels > 2 else "the other is silent")
    snr_db = np.full(channels, -np.inf)
    snr_db[heard] = np.subtract(*(_to_db(np.percentile(powers[:, heard], share, axis=0)) for share in (95, 10)))
    best = int(snr_db.argmax())
    if len(heard) > 2:
        return _single(best, channels, f"the clearest of {len(heard)}")
    first, second = heard
    correlation = products[first, second] / np.sqrt(products[first, first] * products[second, second])
    if correlation > _IDENTICAL_CORRELATION:
        return _single(best, channels, "both are the same")
    if correlation < -SAME_CORRELATION:
        return _single(best, channels, "the other one is inverted, so their mean would be silent")
    if abs(snr_db[first] - snr_db[second]) > SNR_MATTERS_DB:
        return _single(best, channels, f"it is clearer by {abs(snr_db[first] - snr_db[second]):.0f} dB")
    if correlation < SAME_CORRELATION:
        return _single(best, channels, "the channels differ, so their mean could cancel sounds")
    weights = np.zeros(channels)
    weights[heard] = 0.5
    return ChannelChoice(weights, "the mean of both channels")


def _single(channel: int, channels: int, reason: str) -> ChannelChoice:
    name = ("left", "right")[channel] if channels == 2 else f"number {channel + 1}"
    return ChannelChoice(np.eye(channels)[channel], f"channel: {name} ({reason})")


def _to_db(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(power + _TINY)
