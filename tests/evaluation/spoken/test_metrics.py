"""The columns of spoken texts: each is computed from audio whose figures are known."""

import math

import numpy as np
import pytest

from common.audio import AudioConfig
from common.recognition import whisper
from evaluation.metrics import METRICS, ComparedClip, ReferenceClip, choose_metrics, compute_figures
from evaluation.spoken.metrics import SPOKEN_METRICS, WORD_ERRORS, SpokenClip
from tests.evaluation.spoken.test_delivery import RATE, pulses

WITHOUT_PACKAGES = [name for name, metric in SPOKEN_METRICS.items() if not metric.packages]


def test_every_column_without_packages():
    silence = np.zeros(RATE // 2)
    wav = np.concatenate([silence, pulses(np.full(2 * RATE, 140.0)), silence])
    clip = SpokenClip(wav, RATE, "Ten little words", None, 1.6)
    assert clip.tracked_pitch is None
    figures, remarks = compute_figures(clip, WITHOUT_PACKAGES, SPOKEN_METRICS)
    assert remarks == []
    assert clip.tracked_pitch.seconds == pytest.approx(3.0, abs=0.01), "with the silence at both ends"
    assert figures == {
        "rate": pytest.approx(4 / 2, rel=0.02),
        "duration": pytest.approx(2 / 1.6, rel=0.02),
        "f0_mean": pytest.approx(140, rel=0.005),
        "f0_std": pytest.approx(0, abs=1.5),
        "f0_range": pytest.approx(0, abs=3),
        "voiced": pytest.approx(100, abs=3),
    }


def test_without_a_recording_there_is_no_ratio():
    figures, _ = compute_figures(
        SpokenClip(pulses(np.full(RATE, 140.0)), RATE, "Yes", None, math.nan), ["duration"], SPOKEN_METRICS
    )
    assert math.isnan(figures["duration"])


def test_predicted_mos_hears_the_speech_in_both_kinds_of_evaluation(monkeypatch):
    monkeypatch.setattr("evaluation.perception.opinion_score", lambda wav, rate: wav.max() + rate)
    real = pulses(np.full(RATE, 140.0))
    compared = ComparedClip(ReferenceClip(real, AudioConfig(sampling_rate=RATE)), real / 2)
    spoken = SpokenClip(real / 2, RATE, "Yes", None, math.nan)
    for clip, metrics in ((compared, METRICS), (spoken, SPOKEN_METRICS)):
        assert compute_figures(clip, ["mos"], metrics)[0]["mos"] == real.max() / 2 + RATE


def test_word_errors_in_per_cent(monkeypatch, tmp_path):
    pytest.importorskip("jiwer")
    pytest.importorskip("whisper_normalizer")
    heard = []

    def load(folder):
        assert folder == tmp_path
        return lambda wav: heard.append(len(wav)) or "red green grin blue"

    monkeypatch.setattr(whisper, "load_recogniser", load)
    clip = SpokenClip(pulses(np.full(RATE, 140.0)), RATE, "Red, green, bleu!", tmp_path, math.nan)
    figures, remarks = compute_figures(clip, [WORD_ERRORS], SPOKEN_METRICS)
    assert figures[WORD_ERRORS] == pytest.approx(100 * 2 / 3)
    assert heard == [whisper.RECOGNISER_RATE_HZ]  # once, one second at the recogniser's rate
    silent = SpokenClip(clip.wav, RATE, "?!", tmp_path, math.nan)
    figures, remarks = compute_figures(silent, [WORD_ERRORS], SPOKEN_METRICS)
    assert math.isnan(figures[WORD_ERRORS])
    assert remarks == ["wer: the text has no words"]


@pytest.mark.parametrize("package", ["faster_whisper", "jiwer", "whisper_normalizer"])
def test_a_missing_package_is_named(package, monkeypatch):
    monkeypatch.setattr("evaluation.perception.why_not", lambda name: f"{name} missing" if name == package else None)
    chosen, skipped = choose_metrics([], SPOKEN_METRICS)
    assert chosen == [name for name in SPOKEN_METRICS if name != WORD_ERRORS]
    assert skipped == {WORD_ERRORS: f"{package} missing"}
