"""Speech of real clips is found at its place, in long recordings as in short ones, with weak sounds at its ends."""

import numpy as np
import pytest

from common.audio_files import load_wav
from tests.support.paths import DEMO_DATA
from voice.recordings.audio import speech_activity
from voice.recordings.audio.reading import RATE_HZ
from voice.recordings.audio.speech_activity import (
    Span,
    find_speech,
    frame_levels_db,
    join_near,
    speech_probabilities,
)


def load(number):
    path = sorted((DEMO_DATA / "wavs").glob("*.flac"))[number]
    return load_wav(path)[0].astype(np.float32)


@pytest.fixture(scope="module")
def recording():
    """Return two clips with a second of noise around each, and their places in seconds."""
    pytest.importorskip("silero_vad")
    noise = 1e-4 * np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32)
    parts = [noise, load(0), noise, load(1), noise]
    starts = np.cumsum([0, *map(len, parts)]) / RATE_HZ
    return np.concatenate(parts), [(starts[1], starts[2]), (starts[3], starts[4])]


def is_near(spans, places):
    """Return whether all speech lies in the clips, whose own silence at the ends is not speech."""
    inside = all(any(a - 0.1 <= s.start and s.end <= b + 0.1 for a, b in places) for s in spans)
    spoken = sum(s.end - s.start for s in spans)
    return inside and spoken > 0.7 * sum(b - a for a, b in places)


@pytest.mark.medium
def test_two_clips(recording):
    wav, places = recording
    assert is_near(find_speech(wav), places)


@pytest.mark.parametrize("level", [0.003, 3.0])
def test_level_does_not_matter(recording, level):
    wav, places = recording
    assert is_near(find_speech(wav * np.float32(level)), places)


@pytest.mark.medium
def test_parts_of_a_batch_find_the_same(recording, monkeypatch):
    wav = np.tile(recording[0], 3)
    whole = speech_probabilities(wav)
    monkeypatch.setattr(speech_activity, "SHORTEST_PART", 64)
    parts = speech_probabilities(wav)
    assert whole.shape == parts.shape == (-(-len(wav) * 16000 // RATE_HZ // 512),)
    assert np.mean((whole > 0.5) == (parts > 0.5)) > 0.98
    assert np.mean(np.abs(whole - parts)) < 0.02


@pytest.mark.parametrize("wav", [np.zeros(0), np.zeros(66150), 0.05 * np.random.default_rng(0).standard_normal(66150)])
def test_no_speech(wav):
    pytest.importorskip("silero_vad")
    assert find_speech(wav.astype(np.float32)) == []


def test_weak_ends_are_kept(monkeypatch):
    """A final s is 25 dB weaker than the vowel, and the model here does not notice it."""
    generator = np.random.default_rng(0)
    wav = 1e-4 * generator.standard_normal(3 * RATE_HZ)
    wav[RATE_HZ : 2 * RATE_HZ] += 0.2 * np.sin(np.arange(RATE_HZ) / 20)
    hiss = np.diff(0.005 * generator.standard_normal(round(0.2 * RATE_HZ) + 1))
    wav[2 * RATE_HZ :][: len(hiss)] += hiss
    probabilities = np.zeros(3 * 16000 // 512 + 1)
    probabilities[round(16000 / 512) : round(2 * 16000 / 512)] = 1
    monkeypatch.setattr(speech_activity, "speech_probabilities", lambda wav: probabilities)
    (span,) = find_speech(wav.astype(np.float32))
    assert span.start == pytest.approx(1, abs=0.05)
    assert span.end == pytest.approx(2.2, abs=0.05)


def test_join_near():
    assert join_near([Span(2, 3), Span(0, 1), Span(1.05, 1.5)], 0.1) == [Span(0, 1.5), Span(2, 3)]


def test_fricatives_count_more_than_rumble():
    time = np.arange(RATE_HZ) / RATE_HZ
    low, high = (frame_levels_db(np.sin(2 * np.pi * hz * time).astype(np.float32)).mean() for hz in (50, 6000))
    assert high - low > 20
