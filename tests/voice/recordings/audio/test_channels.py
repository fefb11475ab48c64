"""The channel with the speech is used, and channels are averaged only where this reduces noise."""

import numpy as np
import pytest

from voice.recordings.audio.channels import choose_channels

RATE = 16000
GENERATOR = np.random.default_rng(0)


def noise(level):
    return level * GENERATOR.standard_normal(4 * RATE)


def speech():
    """Return noise [T] that comes and goes, with pauses."""
    return noise(0.1) * (np.sin(np.arange(4 * RATE) / RATE * 2 * np.pi) > 0)


def choose(*channels):
    wav = np.stack(channels, axis=1)
    choice = choose_channels(np.array_split(wav, 5), RATE)
    return choice.weights.tolist(), choice.reason


SPEECH = speech()


@pytest.mark.parametrize(
    ("channels", "weights", "reason"),
    [
        ([SPEECH], [1], ""),
        ([SPEECH, SPEECH], [1, 0], "both are the same"),
        ([SPEECH, noise(1e-5)], [1, 0], "the other is silent"),
        ([0 * SPEECH, SPEECH], [0, 1], "the other is silent"),
        ([SPEECH + noise(1e-3), noise(1e-4) - SPEECH], [0, 1], "inverted"),
        ([SPEECH + noise(1e-3), 0.9 * SPEECH + noise(1e-3)], [0.5, 0.5], "the mean of both channels"),
        ([SPEECH + noise(1e-2), 0.9 * SPEECH + noise(1e-3)], [0, 1], "it is clearer by 19 dB"),
        ([SPEECH + noise(1e-3), np.roll(SPEECH, 50) + noise(1e-3)], None, "their mean could cancel"),
        ([0 * SPEECH, SPEECH + noise(1e-2), SPEECH + noise(1e-3)], [0, 0, 1], "number 3 (it is clearer by 20 dB)"),
        ([SPEECH + noise(1e-2), SPEECH + noise(1e-3), SPEECH + noise(1e-2)], [0, 1, 0], "number 2 (the clearest of 3)"),
        ([0 * SPEECH, 0 * SPEECH], None, "all channels are silent"),
    ],
)
def test_choice(channels, weights, reason):
    chosen, said = choose(*channels)
    assert reason in said
    assert weights is None or chosen == weights
