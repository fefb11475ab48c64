"""Every metric, by name, has its known value for equal files and for a gain."""

import math

import numpy as np
import pytest

from common.audio import AudioConfig
from evaluation.metrics import HIGHER, METRICS, SEGMENT_METRIC, Metric, ReferenceClip, choose_metrics, measure_clip
from tests.support.data_sets import speechlike

GAIN = 10 ** (-3 / 20)
EQUAL = {
    "mel_l1": 0.0,
    "mel_l1_input": 0.0,
    "stft": 0.0,
    "mcd": 0.0,
    "pesq": 4.644,
    "stoi": 1.0,
    "f0_cents": 0.0,
    "voicing_f1": 1.0,
    "periodicity": 0.0,
    "hum": -90.0,
    "buzz": 0.0,
    "level": 0.0,
}
# Log magnitudes differ by the log of the gain, and spectral convergence is 1 - gain. The rest ignores level.
SOFTER = EQUAL | {
    "mel_l1": -math.log(GAIN),
    "mel_l1_input": -math.log(GAIN),
    "stft": 1 - GAIN - math.log(GAIN),
    "buzz": -3.0,
    "level": -3.0,
}


@pytest.fixture(scope="module")
def measure():
    """Return a function that measures speech scaled by a gain, with all installed metrics except the neural one."""
    wav = speechlike(3.0)
    wav[len(wav) // 3 : len(wav) // 2] = 0.0
    wav += 10 ** (-65 / 20) * np.random.default_rng(0).standard_normal(len(wav))
    names = [name for name in choose_metrics([])[0] if name != "mos"]
    reference = ReferenceClip(wav, AudioConfig())

    def measure(gain):
        figures, remarks, pitch = measure_clip(reference, wav * gain, names)
        assert remarks == []
        assert len(pitch.f0_hz) == len(wav) // 256 + 1
        assert pitch.seconds == pytest.approx(3.0, abs=256 / 22050)
        return figures

    return measure


@pytest.mark.parametrize(("gain", "expected"), [(1.0, EQUAL), (GAIN, SOFTER)])
def test_every_column(measure, gain, expected):
    figures = measure(gain)
    assert {*figures, "pesq", "stoi"} == set(expected) == set(METRICS) - {"mos", SEGMENT_METRIC}
    assert figures == {name: pytest.approx(expected[name], rel=2e-3, abs=2e-3) for name in figures}


def test_a_metric_is_one_entry(monkeypatch):
    metric = Metric("peak", HIGHER, "highest sample", lambda clip: clip.fake.max())
    monkeypatch.setitem(METRICS, "peak", metric)
    assert choose_metrics(["peak"]) == (["peak"], {})
    wav = speechlike(0.5)
    figures, remarks, pitch = measure_clip(ReferenceClip(wav, AudioConfig()), wav / 2, ["peak"])
    assert (figures, remarks, pitch) == ({"peak": wav.max() / 2}, [], None)
