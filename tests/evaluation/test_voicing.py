"""Pitch figures of tones whose pitch is known."""

import math

import numpy as np
import pytest

from evaluation import voicing
from evaluation.voicing import Contour

RATE, HOP = 22050, 256


def tone(hz, seconds=1.0):
    time = np.arange(int(seconds * RATE)) / RATE
    return 0.3 * sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 9))


def test_known_pitch_shift():
    contours = {cents: voicing.track(tone(180 * 2 ** (cents / 1200)), RATE, HOP) for cents in (0, 50)}
    assert np.median(contours[0].pitch_hz) == pytest.approx(180, rel=0.005)
    assert voicing.pitch_error_cents(contours[0], contours[50]) == pytest.approx(50, abs=6)  # pYIN has steps of 10
    assert voicing.pitch_error_cents(contours[0], contours[0]) == 0
    assert voicing.voicing_f1(contours[0], contours[0]) == 1
    assert voicing.periodicity_error(contours[0], contours[0]) == 0


def test_noise_is_unvoiced():
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    half = np.concatenate([tone(150)[: RATE // 2], noise[: RATE // 2]])
    contour = voicing.track(half, RATE, HOP)
    middle = RATE // 2 // HOP
    assert (contour.pitch_hz[3 : middle - 5] > 0).mean() > 0.95
    assert (contour.pitch_hz[middle + 5 :] > 0).mean() < 0.1


def test_figures_of_given_contours():
    real = Contour(np.array([100.0, 100, 0, 0, 200]), np.array([1.0, 1, 0, 0, 1]))
    fake = Contour(np.array([200.0, 0, 100, 0, 200]), np.array([1.0, 0, 1, 0, 1]))
    assert voicing.pitch_error_cents(real, fake) == pytest.approx(1200 / math.sqrt(2))  # an octave, and 0
    assert voicing.voicing_f1(real, fake) == pytest.approx(2 / 3)  # two right, one missed, one too many
    assert voicing.periodicity_error(real, fake) == pytest.approx(math.sqrt(2 / 5))
    unvoiced = Contour(np.zeros(5), np.zeros(5))
    assert math.isnan(voicing.pitch_error_cents(real, unvoiced))
    assert math.isnan(voicing.voicing_f1(unvoiced, unvoiced))
