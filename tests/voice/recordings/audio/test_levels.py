"""The gain brings speech to one loudness without exceeding the peak, and the noise is measured in the pauses."""

import numpy as np
import pytest

pyloudnorm = pytest.importorskip("pyloudnorm")

from tests.support.data_sets import speechlike  # noqa: E402
from voice.recordings.audio.levels import PEAK, TARGET_LUFS, measure_levels  # noqa: E402
from voice.recordings.audio.quality import RecordingQuality  # noqa: E402
from voice.recordings.audio.reading import RATE_HZ  # noqa: E402
from voice.recordings.audio.speech_activity import Span  # noqa: E402

QUALITY = RecordingQuality(6.0, 22050, 1, "WAV PCM_16", "", 0.0, 0.0, 11000.0)
SPANS = [Span(1, 3), Span(4, 5)]


def recording(level, noise):
    wav = noise * np.random.default_rng(0).standard_normal(6 * RATE_HZ)
    for span in SPANS:
        part = speechlike(span.end - span.start, RATE_HZ)
        wav[round(span.start * RATE_HZ) :][: len(part)] += level * part
    return wav.astype(np.float32)


@pytest.mark.parametrize("level", [0.005, 0.05])
def test_loudness_of_the_speech(level):
    wav = recording(level, 1e-5)
    quality = measure_levels(QUALITY, wav, SPANS)
    speech = np.concatenate([wav[round(s.start * RATE_HZ) : round(s.end * RATE_HZ)] for s in SPANS])
    gained = speech.astype(np.float64) * 10 ** (quality.gain_db / 20)
    loudness = pyloudnorm.Meter(RATE_HZ).integrated_loudness(gained)
    assert loudness == pytest.approx(TARGET_LUFS, abs=0.1)
    assert quality.speech_sec == 3


def test_the_peak_limits_the_gain():
    wav = recording(0.001, 1e-6)
    wav[2 * RATE_HZ] = 0.5
    quality = measure_levels(QUALITY, wav, SPANS)
    assert 0.5 * 10 ** (quality.gain_db / 20) == pytest.approx(PEAK, rel=1e-3)


def test_noise():
    wav = recording(0.2, 1e-3)
    wav[round(3.5 * RATE_HZ) :][:200] = 0.9  # a knock in a pause
    quality = measure_levels(QUALITY, wav, SPANS)
    assert quality.noise_dbfs == pytest.approx(-60, abs=0.5)
    power = np.mean([np.mean(wav[round(s.start * RATE_HZ) : round(s.end * RATE_HZ)] ** 2) for s in SPANS])
    assert quality.snr_db == pytest.approx(10 * np.log10(power) + 60, abs=0.5)
    without = measure_levels(QUALITY, wav, [Span(0, 6)])
    assert (without.snr_db, without.noise_dbfs) == (None, None)


def test_very_short_speech():
    assert np.isfinite(measure_levels(QUALITY, recording(0.1, 1e-4), [Span(1, 1.2)]).gain_db)
