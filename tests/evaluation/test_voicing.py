"""Pitch figures of tones whose pitch is known."""

import math

import librosa
import numpy as np
import pytest

from common.data.pyin import Track
from evaluation import voicing

RATE, HOP = 22050, 256


def tone(hz, seconds=1.0):
    time = np.arange(int(seconds * RATE)) / RATE
    return 0.3 * sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 9))


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
    rng = np.random.default_rng(0)
    wav = np.concatenate([tone(150), 0.1 * rng.standard_normal(RATE // 2), np.zeros(RATE // 4), tone(310)])
    wav += 0.01 * rng.standard_normal(len(wav))
    found = voicing.track_pitch(wav, RATE, HOP)
    options = {"fmin": voicing.FMIN_HZ, "fmax": voicing.FMAX_HZ, "frame_length": 1024}
    f0_hz, voiced, voiced_prob = librosa.pyin(wav, sr=RATE, hop_length=HOP, **options)
    np.testing.assert_array_equal(found.f0_hz > 0, voiced)
    np.testing.assert_allclose(found.f0_hz, np.nan_to_num(f0_hz), rtol=1e-12)
    np.testing.assert_allclose(found.voiced_prob, voiced_prob, atol=1e-12)


def test_figures_of_given_contours():
    real = Track(np.array([100.0, 100, 0, 0, 200]), np.array([1.0, 1, 0, 0, 1]))
    fake = Track(np.array([200.0, 0, 100, 0, 200]), np.array([1.0, 0, 1, 0, 1]))
    assert voicing.pitch_error_cents(real, fake) == pytest.approx(1200 / math.sqrt(2))  # an octave, and 0
    assert voicing.voicing_f1(real, fake) == pytest.approx(2 / 3)  # two right, one missed, one too many
    assert voicing.periodicity_error(real, fake) == pytest.approx(math.sqrt(2 / 5))
    unvoiced = Track(np.zeros(5), np.zeros(5))
    assert math.isnan(voicing.pitch_error_cents(real, unvoiced))
    assert math.isnan(voicing.voicing_f1(unvoiced, unvoiced))
