"""Pitch figures of tones whose pitch is known."""

import math

import numpy as np
import pytest

from common.data.pyin import Track
from evaluation import voicing
from tests.parity.librosa_pitch import RATE, pitch_cases, recorded_pitch, tone

HOP = 256


def test_known_pitch_shift():
    contours = {cents: voicing.track_pitch(tone(180 * 2 ** (cents / 1200)), RATE, HOP) for cents in (0, 50)}
    assert np.median(contours[0].f0_hz) == pytest.approx(180, rel=0.005)
    assert voicing.pitch_error_cents(contours[0], contours[50]) == pytest.approx(50, abs=6)  # pYIN has steps of 10
    assert voicing.pitch_error_cents(contours[0], contours[0]) == 0
    assert voicing.voicing_f1(contours[0], contours[0]) == 1
    assert voicing.periodicity_error(contours[0], contours[0]) == 0


def test_noise_is_unvoiced():
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    half = np.concatenate([tone(150)[: RATE // 2], noise[: RATE // 2]])
    contour = voicing.track_pitch(half, RATE, HOP)
    middle = RATE // 2 // HOP
    assert (contour.f0_hz[3 : middle - 5] > 0).mean() > 0.95
    assert (contour.f0_hz[middle + 5 :] > 0).mean() < 0.1


def test_pitch_equals_librosas():
    expected, wav = recorded_pitch("evaluation"), pitch_cases()["evaluation"].wav
    found = voicing.track_pitch(wav, RATE, HOP)
    np.testing.assert_array_equal(found.f0_hz > 0, expected.f0_hz > 0)
    np.testing.assert_allclose(found.f0_hz, expected.f0_hz, rtol=1e-12)
    np.testing.assert_allclose(found.voiced_prob, expected.voiced_prob, atol=1e-12)


def test_figures_of_given_contours():
    real = Track(np.array([100.0, 100, 0, 0, 200]), np.array([1.0, 1, 0, 0, 1]))
    fake = Track(np.array([200.0, 0, 100, 0, 200]), np.array([1.0, 0, 1, 0, 1]))
    assert voicing.pitch_error_cents(real, fake) == pytest.approx(1200 / math.sqrt(2))  # an octave, and 0
    assert voicing.voicing_f1(real, fake) == pytest.approx(2 / 3)  # two right, one missed, one too many
    assert voicing.periodicity_error(real, fake) == pytest.approx(math.sqrt(2 / 5))
    unvoiced = Track(np.zeros(5), np.zeros(5))
    assert math.isnan(voicing.pitch_error_cents(real, unvoiced))
    assert math.isnan(voicing.voicing_f1(unvoiced, unvoiced))
