"""The figures of written texts, with a recogniser whose errors are known."""

import json

import pytest

from benchmarks.voice import transcripts
from benchmarks.voice.assemble import TrueClip, write_recording, write_truth
from benchmarks.voice.transcripts import Figures, sum_up, sum_up_alignment, sum_up_thresholds
from tests.support.data_sets import speechlike, write_data_set
from tests.support.recordings.recogniser import FakeWhisper, install

TEXTS = {10: "Here is a first text.", 15: "Here is another one.", 20: "And this is the last of them."}


@pytest.fixture
def model(monkeypatch, tmp_path):
    for package in ("jiwer", "whisper_normalizer", "rapidfuzz"):
        pytest.importorskip(package)
    found = FakeWhisper({**TEXTS, 15: "Here is an other one."}, probabilities={15: 0.55})
    return install(monkeypatch, found, tmp_path / "model")


def test_clips_of_a_data_set(model, tmp_path, capsys):
    data = write_data_set(tmp_path / "data", [tenths / 10 for tenths in TEXTS])
    lines = [f"clip00{i}|{text}\n" for i, text in enumerate(TEXTS.values())]
    (data / "metadata.csv").write_text("".join(lines))
    words = ["--dataset-path", data, "-o", tmp_path / "out", "--transcriber", model, "--clips", 5]
    assert transcripts.main([str(word) for word in words]) == 0
    printed = capsys.readouterr().out
    assert "| model | 3 | 0.1 | 12.5 | 66.7 |" in printed  # 2 of 16 words, 1 of 3 clips
    assert "| model | 3 | 100.0 | 0.0 | 0.0 | 0 |" in printed, "the given text is aligned"
    assert "| 0.6 | 33.3 | 100.0 | 0.0 |" in printed
    (found,) = json.loads((tmp_path / "out" / "transcripts.json").read_text()).values()
    assert [(one["heard"], one["errors"]) for one in found][1] == ("Here is an other one.", 2)


def test_clips_of_assembled_recordings(model, tmp_path, capsys):
    pytest.importorskip("av")
    (tmp_path / "in" / "recordings").mkdir(parents=True)
    wav = speechlike(6.0, 48000).astype("float32")
    write_recording(tmp_path / "in" / "recordings" / "r.mp3", wav[:, None].repeat(2, axis=1))
    places = [TrueClip("r.mp3", "a", 1.0, 2.0, TEXTS[10]), TrueClip("r.mp3", "b", 3.0, 5.0, TEXTS[20])]
    write_truth(tmp_path / "in" / "truth.csv", places)
    words = ["--assembled", tmp_path / "in", "-o", tmp_path / "out", "--transcriber", model]
    assert transcripts.main([str(word) for word in words]) == 0
    assert "| model | 2 | 0.1 | 0.0 | 100.0 |" in capsys.readouterr().out


def test_sums():
    figures = [
        Figures("a", "One two.", "One two.", 0.9, 2, 0, ()),
        Figures("b", "One two.", "one two", 0.7, 2, 0, ()),
        Figures("c", "One two three four.", "Won", 0.5, 4, 4, ("low confidence",)),
        Figures("d", "One two.", "One too.", 0.65, 2, 1, ()),
    ]
    assert sum_up(figures) == [4, 50.0, 50.0]
    assert sum_up_alignment(figures) == [4, 25.0, 50.0, 25.0, 2]
    rows = {row[0]: row[1:] for row in sum_up_thresholds(figures)}
    assert rows[0.6] == [25.0, 80.0, pytest.approx(100 / 6, abs=0.1)]
    assert rows[0.7] == [50.0, 100.0, 0.0]
    assert rows[0.4] == [0.0, 0.0, 50.0]
