"""Perceptual metrics where their packages are installed, and the message where they are not."""

import sys

import numpy as np
import pytest

from common.errors import InputError
from evaluation import metrics, perception
from tests.support.data_sets import speechlike

RATE = 22050


def noisy(wav, decibels):
    return wav + 10 ** (decibels / 20) * np.random.default_rng(0).standard_normal(len(wav))


def test_pesq():
    pytest.importorskip("pesq")
    wav = speechlike(2.0)
    assert perception.pesq_wideband(wav, wav, RATE) == pytest.approx(4.644, abs=0.001)
    some, much = (perception.pesq_wideband(wav, noisy(wav, level), RATE) for level in (-50, -30))
    assert 4.64 > some > much > 1.0
    with pytest.raises(ValueError, match=r"\w"):
        perception.pesq_wideband(wav[:1000], wav[:1000], RATE)


def test_stoi():
    pytest.importorskip("pystoi")
    wav = speechlike(2.0)
    assert perception.short_time_intelligibility(wav, wav, RATE) == pytest.approx(1.0)
    assert perception.short_time_intelligibility(wav, noisy(wav, -20), RATE) < 0.99
    with pytest.raises(ValueError, match=r"\w"):
        perception.short_time_intelligibility(wav[:2000], wav[:2000], RATE)


def test_missing_library_is_named_and_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    chosen, skipped = metrics.choose_metrics([])
    assert "pesq" not in chosen
    assert "mel_l1" in chosen
    assert skipped["pesq"] == "pesq is not installed: pip install pesq"
    with pytest.raises(InputError, match="--metrics pesq: pesq is not installed"):
        metrics.choose_metrics(["mel_l1", "pesq"])
    assert metrics.choose_metrics(["mel_l1"]) == (["mel_l1"], {})
