"""Spectral distances and detectors on signals with known results: equal files, a gain, an added tone, a cosine."""

import math

import numpy as np
import pytest

from common.audio import AudioConfig, MelSpectrogram
from evaluation import spectra
from tests.support.data_sets import speechlike

RATE = 22050
MEL = MelSpectrogram(AudioConfig(mel_fmax=None))
GAIN = 10 ** (3 / 20)


@pytest.fixture(scope="module")
def speech():
    return speechlike(2.0)


def with_pauses(seconds=3.0, noise_db=-65.0, seed=1):
    """Return speech in the first and last third, with white noise of a known level throughout."""
    wav = speechlike(seconds, seed=seed)
    third = len(wav) // 3
    wav[third : 2 * third] = 0.0
    return wav + 10 ** (noise_db / 20) * np.random.default_rng(seed).standard_normal(len(wav))


def glide(seconds=3.0):
    """Return harmonics of a constantly gliding voice over noise of -80 dB."""
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * (150 * time - 40 / (2 * np.pi * 0.7) * np.cos(2 * np.pi * 0.7 * time))
    tone = sum(np.sin(k * phase) / k for k in range(1, 30)) * (np.sin(2 * np.pi * 1.5 * time) > -0.5)
    return 0.2 * tone + 1e-4 * np.random.default_rng(0).standard_normal(len(time))


def test_equal_files(speech):
    assert spectra.mel_l1(speech, speech, MEL) == 0
    assert spectra.mel_cepstral_distortion(speech, speech, MEL) == 0
    assert spectra.stft_distance(speech, speech) == 0
    assert spectra.level_difference(speech, speech) == 0
    assert spectra.silence_buzz(with_pauses(), with_pauses(), RATE) == 0
    assert spectra.hum(speech, speech, RATE)[0] == spectra.NO_LINE_DB


def test_known_gain(speech):
    louder = speech * GAIN
    assert spectra.level_difference(speech, louder) == pytest.approx(3.0)
    assert spectra.mel_l1(speech, louder, MEL) == pytest.approx(math.log(GAIN), rel=1e-3)
    # The log of the gain, plus gain - 1 from the Frobenius norms.
    assert spectra.stft_distance(speech, louder) == pytest.approx(math.log(GAIN) + GAIN - 1, rel=1e-3)
    assert spectra.mel_cepstral_distortion(speech, louder, MEL) == pytest.approx(0.0, abs=1e-3)
    assert spectra.silence_buzz(with_pauses(), with_pauses() * GAIN, RATE) == pytest.approx(3.0, abs=1e-3)


def test_cepstral_distance_of_a_cosine():
    bands = (np.arange(80) + 0.5) / 80
    for order in (1, 24):
        difference = 0.3 * np.cos(np.pi * order * bands)[:, None].repeat(5, axis=1)
        assert spectra.cepstral_distance(difference) == pytest.approx(10 / math.log(10) * math.sqrt(2) * 0.3)
    for order in (0, 25):  # level, and detail finer than the cepstrum's
        difference = 0.3 * np.cos(np.pi * order * bands)[:, None]
        assert spectra.cepstral_distance(difference) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("level_db", [-35.0, -55.0])
@pytest.mark.parametrize(("hz", "tolerance_db"), [(86.13, 2.0), (689.06, 2.0), (5512.5, 0.6), (9000.0, 0.6)])
def test_hum_of_known_level(level_db, hz, tolerance_db):
    """Speech that overlaps the tone cancels part of it a tenth of the time, so low tones measure softer."""
    wav = glide()
    tone = 10 ** (level_db / 20) * np.sin(2 * np.pi * hz * np.arange(len(wav)) / RATE)
    found, at_hz = spectra.hum(wav, wav + tone, RATE)
    assert found == pytest.approx(level_db, abs=tolerance_db)
    assert at_hz == pytest.approx(hz, abs=RATE / 8192)
    assert spectra.hum(wav + tone, wav + tone, RATE)[0] == spectra.NO_LINE_DB  # the recording has it too


def test_noise_is_no_hum():
    wav = glide()
    noise = 10 ** (-60 / 20) * np.random.default_rng(5).standard_normal(len(wav))
    assert spectra.hum(wav, wav + noise, RATE)[0] < -85


def test_buzz_in_pauses_of_known_level():
    wav = with_pauses(noise_db=-65)
    buzz = 10 ** (-50 / 20) * math.sqrt(2) * np.sin(2 * np.pi * 300 * np.arange(len(wav)) / RATE)
    # Noise of -65 dB plus buzz of -50 dB, relative to the noise alone.
    expected = 10 * math.log10(1 + 10**1.5)
    assert spectra.silence_buzz(wav, wav + buzz, RATE) == pytest.approx(expected, abs=0.2)
    assert spectra.silence_buzz(wav + buzz, wav, RATE) == pytest.approx(-expected, abs=0.2)


def test_without_pauses_there_is_no_figure(speech):
    assert math.isnan(spectra.silence_buzz(speech + 0.05, speech + 0.05, RATE))
