"""Pitch of pulse trains, ends of constructed speech, and syllables of known words."""

import math

import numpy as np
import pytest

from evaluation.spoken import delivery
from evaluation.spoken.metrics import SpokenClip

RATE = 22050


def pulses(f0_hz):
    """Return a pulse train with the frequency of each sample, with the spectrum of a voice."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE
    return 0.2 * sum(np.cos(k * phase) / k for k in range(1, 11))


def clip(wav, text="Yes.", recorded_sec=math.nan):
    return SpokenClip(wav, RATE, text, None, recorded_sec)


@pytest.mark.parametrize("hz", [90.0, 180.0, 300.0])
def test_pitch_of_a_pulse_train(hz):
    f0 = clip(pulses(np.full(RATE, hz))).f0_hz
    assert delivery.mean_hz(f0) == pytest.approx(hz, rel=0.005)
    assert delivery.deviation_hz(f0) < 0.01 * hz
    assert delivery.range_hz(f0) < 0.02 * hz
    assert delivery.voiced_percent(f0) > 95


def test_pitch_that_rises_evenly():
    """A uniform distribution from 100 to 200 Hz: deviation 100 / sqrt(12), and 90 % of the range."""
    f0 = clip(pulses(np.linspace(100, 200, 3 * RATE))).f0_hz
    assert delivery.mean_hz(f0) == pytest.approx(150, rel=0.01)
    assert delivery.deviation_hz(f0) == pytest.approx(100 / math.sqrt(12), rel=0.04)
    assert delivery.range_hz(f0) == pytest.approx(90, rel=0.04)


def test_voiced_share():
    voice, pause = pulses(np.full(RATE, 150.0)), np.zeros(RATE)
    assert delivery.voiced_percent(clip(np.concatenate([voice, pause, voice])).f0_hz) == pytest.approx(200 / 3, abs=1.5)
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    assert delivery.voiced_percent(clip(noise).f0_hz) < 5
    for figure in (delivery.mean_hz, delivery.deviation_hz, delivery.range_hz):
        assert math.isnan(figure(np.zeros(10)))
    assert math.isnan(delivery.voiced_percent(np.zeros(0)))


@pytest.mark.parametrize("noise", [0.0, 3e-4])
def test_silence_at_both_ends_does_not_count(noise):
    """Speech of 0.5 s, a pause of 0.4 s and speech of 0.6 s, between 0.7 s and 0.3 s of silence."""
    parts = [np.zeros(round(0.7 * RATE)), pulses(np.full(RATE // 2, 150.0)), np.zeros(round(0.4 * RATE))]
    parts += [pulses(np.full(round(0.6 * RATE), 200.0)), np.zeros(round(0.3 * RATE))]
    wav = np.concatenate(parts)
    wav += noise * np.random.default_rng(0).standard_normal(len(wav))
    start, end = delivery.find_speech(wav, RATE)
    assert (start, end) == (pytest.approx(0.7, abs=0.021), pytest.approx(2.2, abs=0.021))
    assert clip(wav).speech_sec == end - start
    assert delivery.mean_hz(clip(wav).f0_hz) == pytest.approx((0.5 * 150 + 0.6 * 200) / 1.1, rel=0.02)


def test_ends_of_silence():
    assert delivery.find_speech(np.zeros(RATE), RATE) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "syllables"),
    [
        ("Yes.", 1),
        ("The lace was of a delicate ivory color.", 13),
        ("It costs $25.", 7),  # twenty-five dollars
        ("Dr. Fox", 3),
        ("{W ER1 L D}", 1),
        ("Blorptangle", 3),  # in no dictionary
        ("a - b", 4),
    ],
)
def test_syllables(text, syllables):
    assert delivery.count_syllables(text) == syllables
