"""The same audio is found through another format's noise, level and cut, and other audio is not."""

import numpy as np
import pytest
import soundfile

from tests.support.data_sets import speechlike
from voice.recordings.findings.duplicates import correlate, find_same_audio, group_by_text
from voice.recordings.segment import Segment


def make_clip(folder, name, wav, text="Some words."):
    path = folder / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wav, 22050)
    return Segment(name, f"{name}.m4a", 0.0, len(wav) / 22050, text=text)


def test_same_audio(tmp_path):
    wav, other = speechlike(1.0, seed=1), speechlike(1.0, seed=2)
    noise = 0.01 * np.random.default_rng(0).standard_normal(wav.size)
    segments = [
        make_clip(tmp_path, "first", wav),
        make_clip(tmp_path, "other reading", other),
        make_clip(tmp_path, "ann/encoded", 0.5 * (wav + noise)[300:-500], "some words"),
        make_clip(tmp_path, "copy of a file", wav, "Wrong words."),
        make_clip(tmp_path, "longer", np.concatenate([wav, other])),
        Segment("without a file", "x.m4a", 0.0, 1.0, text="Some words."),
    ]
    assert find_same_audio(segments, tmp_path) == {"ann/encoded": "first", "copy of a file": "first"}


def test_correlation():
    wav = speechlike(0.5, seed=1)
    assert correlate(wav, np.concatenate([np.zeros(77), wav])) == pytest.approx(1.0, abs=1e-4)
    assert correlate(wav, np.zeros(10)) == 0.0


def test_texts_are_compared_by_their_words():
    texts = ["Yes!", "yes", "No."]
    groups = group_by_text([Segment(text, "a", 0, 1, text=text) for text in texts])
    assert {words: len(group) for words, group in groups.items()} == {"yes": 2, "no": 1}
