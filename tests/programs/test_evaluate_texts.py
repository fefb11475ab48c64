"""evaluate.py --texts as a program, with a recogniser that knows what it hears by its length."""

import csv
import json
import re
import sys
import types

import numpy as np
import pytest
import soundfile

import evaluate
from common.errors import InputError
from common.recognition import whisper
from tests.programs.test_evaluate import error_of, result_of
from tests.support.data_sets import speechlike
from tests.support.models import make_voice
from voice import load_voice

RATE = 22050
TEXTS = {"a": "Red roses bloom.", "b": "Where do the birds go in winter?", "c": "Never."}
SECONDS = {"a": 1.0, "b": 1.5, "c": 0.5}
SLOWER = 1.2


@pytest.fixture
def data(tmp_path):
    """Recordings of `TEXTS`, and in `spoken` a system that speaks more slowly."""
    for folder, pace in (("data/wavs", 1.0), ("spoken", SLOWER)):
        (tmp_path / folder).mkdir(parents=True)
        for name, seconds in SECONDS.items():
            soundfile.write(tmp_path / folder / f"{name}.wav", speechlike(seconds * pace), RATE)
    (tmp_path / "data" / "metadata.csv").write_text("".join(f"{name}|{text}\n" for name, text in TEXTS.items()))
    return tmp_path / "data"


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The folder of a recogniser that understands every recording, and repeats or skips words of `spoken`."""
    pytest.importorskip("jiwer")
    pytest.importorskip("whisper_normalizer")
    heard = {
        **{round(SECONDS[name] * whisper.RECOGNISER_RATE_HZ): text for name, text in TEXTS.items()},
        round(1.2 * whisper.RECOGNISER_RATE_HZ): "red red roses bloom",
        round(1.8 * whisper.RECOGNISER_RATE_HZ): "Where do birds go in summer",
        round(0.6 * whisper.RECOGNISER_RATE_HZ): "never",
    }
    package = types.ModuleType("faster_whisper")
    package.available_models, package.download_model = lambda: ["tiny", "base"], None
    monkeypatch.setitem(sys.modules, "faster_whisper", package)
    monkeypatch.setattr(whisper, "load_recogniser", lambda folder: lambda wav: heard[len(wav)])
    (tmp_path / "model").mkdir()
    for name in whisper.MODEL_FILES:
        (tmp_path / "model" / name).touch()
    return tmp_path / "model"


def arguments(tmp_path, *words):
    return [str(word) for word in ("-o", tmp_path / "out", "--jobs", 1, "--texts", *words)]


def test_figures_tables_and_the_worst_texts(data, model, tmp_path, capsys):
    words = arguments(tmp_path, data / "metadata.csv", "--recogniser", model, "--metrics", "wer", "rate", "duration")
    assert evaluate.main([*words, "--system", f"slow={tmp_path / 'spoken'}"]) == 0
    shown = capsys.readouterr().out
    found = result_of(tmp_path / "out")
    assert [system["name"] for system in found["systems"]] == ["ground-truth", "slow"]
    assert found["means"]["ground-truth"]["wer"] == {"mean": 0.0, "low": 0.0, "high": 0.0, "count": 3}
    slow = found["means"]["slow"]
    assert slow["wer"]["mean"] == pytest.approx(100 * 3 / 11)  # of the corpus, not the mean of 1/3, 2/7 and 0
    assert 0 <= slow["wer"]["low"] < slow["wer"]["mean"] < slow["wer"]["high"] <= 100 / 3 + 1e-9
    assert slow["duration"]["mean"] == pytest.approx(SLOWER, rel=0.03)
    assert found["means"]["ground-truth"]["rate"]["mean"] > slow["rate"]["mean"] > 0
    (pair,) = found["differences"]
    assert (pair["system"], pair["minus"]) == ("slow", "ground-truth")
    assert pair["wer"]["mean"] == slow["wer"]["mean"]
    assert found["word_errors"]["slow"] == {
        "system": "slow", "texts": 3, "words": 11, "substitutions": 1, "deletions": 1, "insertions": 1,
        "texts_without_error": 1,
    }  # fmt: skip
    rows = {(row["system"], row["clip"]): row for row in csv.DictReader((tmp_path / "out" / "results.csv").open())}
    assert len(rows) == 6
    assert rows["slow", "b"]["understood"] == "where do birds go in summer"
    assert rows["slow", "b"]["errors"] == "where do [-the-] birds go in [-winter-]{+summer+}"
    assert float(rows["slow", "a"]["wer"]) == pytest.approx(100 / 3, rel=1e-5)
    assert shown.strip().endswith((tmp_path / "out" / "summary.md").read_text().strip())
    worst = shown.split("Most word errors of slow")[1]
    assert worst.index("| b | 2 | 7 |") < worst.index("| a | 1 | 3 | ")
    assert "Most word errors of ground-truth" not in shown
    assert sorted(path.name for path in (tmp_path / "out" / "wavs" / "slow").iterdir()) == ["a.wav", "b.wav", "c.wav"]


def test_report(data, model, tmp_path):
    """Each text has a player, a spectrogram and a pitch line for each system that speaks it, and its transcript."""
    (tmp_path / "spoken" / "c.wav").unlink()
    page = tmp_path / "page"
    words = arguments(tmp_path, data / "metadata.csv", "--recogniser", model, "--metrics", "wer", "f0_mean")
    with pytest.raises(InputError, match="1 problem;"):
        evaluate.main([*words, "--report", str(page), "--system", f"slow={tmp_path / 'spoken'}"])
    text = (page / "index.html").read_text()
    assert [len(list((page / folder).iterdir())) for folder in ("audio", "pictures")] == [5, 5]
    assert text.count("<audio") == 5
    assert re.findall(r'<h3 id="clip-.*?">(.*?)</h3>', text) == list(TEXTS.values())
    assert re.findall(r'<p class="words">(.*?)</p>', text) == [
        "red roses bloom",
        "red <ins>{+red+}</ins> roses bloom",
        "where do the birds go in winter",
        "where do <del>[-the-]</del> birds go in <del>[-winter-]</del><ins>{+summer+}</ins>",
        "never",
    ]
    assert [len(axis.split("<path")) - 1 for axis in text.split("<svg")[1:]] == [2, 2, 1]
    (mark,) = re.findall(r'style="left: ([\d.]+)%">1.5 s<', text)
    assert float(mark) == pytest.approx(100 * 1.5 / 1.8, rel=0.01), "the axis of b is as long as its longest version"
    assert "<dd>audio files of " in text
    assert "2 clips are too few to measure how slow differs from the recordings." in text
    assert text.count("<option selected>") == 2
    assert "<td><b>" not in text
    assert "<td>30.0<small>28.6 to 33.3</small></td>" in text, "3 errors in 10 words, and the resamples of 1/3 and 2/7"


def test_report_of_a_voice_alone(tmp_path):
    folder = make_voice(tmp_path / "made")
    (tmp_path / "phrases.txt").write_text("".join(f"{name}.wav|{text}\n" for name, text in TEXTS.items()))
    words = arguments(tmp_path, tmp_path / "phrases.txt", "--metrics", "rate", "--report-clips", 2)
    assert evaluate.main([*words, "--report", str(tmp_path / "page"), "--system", f"made=voice:{folder}"]) == 0
    text = (tmp_path / "page" / "index.html").read_text()
    assert text.count("<audio") == 2
    assert "Listen to made for skipped or misread words, and for its melody." in text
    assert "<dd>the voice made: a FastPitch model with " in text
    assert "blind-form" not in text
    assert "<svg" not in text, "no metric has tracked the pitch"


def test_a_voice_speaks_the_texts(data, model, tmp_path):
    """The voice's wavs are scaled to a peak of 0.95, and its figures describe them."""
    folder = make_voice(tmp_path / "made")
    words = arguments(tmp_path, data / "metadata.csv", "--clips", 2, "--metrics", "rate", "f0_mean", "duration")
    assert evaluate.main([*words, "--system", f"made=voice:{folder}"]) == 0
    wav, rate = soundfile.read(tmp_path / "out" / "wavs" / "made" / "a.wav")
    spoken = load_voice(folder).speak(TEXTS["a"])
    assert rate == RATE
    assert np.abs(wav - spoken / np.abs(spoken).max() * 0.95).max() < 1e-4
    means = result_of(tmp_path / "out")["means"]["made"]
    assert means["duration"]["count"] == means["rate"]["count"] == 2


def test_without_recordings_and_packages(data, tmp_path, capsys, monkeypatch, caplog):
    """Without a recogniser everything else is measured, and one line says what is missing."""
    monkeypatch.setattr("evaluation.perception.why_not", lambda name: f"{name} is not installed: pip install it")
    phrases = tmp_path / "phrases.txt"
    phrases.write_text("".join(f"{name}.wav|{text}\n" for name, text in TEXTS.items()))
    words = arguments(tmp_path, phrases, "--system", f"slow={tmp_path / 'spoken'}", "-d", tmp_path / "nowhere")
    assert evaluate.main(words) == 0
    assert "wer is not measured: faster_whisper is not installed: pip install it" in caplog.text
    found = result_of(tmp_path / "out")
    assert [system["name"] for system in found["systems"]] == ["slow"]
    assert (found["differences"], found["recogniser"], found["understood"]) == ([], None, [])
    assert set(found["metrics"]) == {"rate", "duration", "f0_mean", "f0_std", "f0_range", "voiced"}
    assert found["means"]["slow"]["duration"]["count"] == 0
    assert found["means"]["slow"]["f0_mean"]["count"] == 3
    assert "Differences" not in capsys.readouterr().out
    error = error_of([*words, "--metrics", "wer"], capsys)
    assert "--metrics wer: faster_whisper is not installed" in error


def test_what_cannot_be_judged_is_named_and_the_rest_is(data, model, tmp_path, capsys):
    (tmp_path / "spoken" / "a.wav").unlink()
    soundfile.write(tmp_path / "spoken" / "b.wav", np.zeros(RATE), RATE)
    soundfile.write(data / "wavs" / "c.wav", speechlike(0.1), RATE)
    words = arguments(tmp_path, data / "metadata.csv", "--recogniser", model, "--system", f"slow={tmp_path / 'spoken'}")
    error = error_of([*words, "--metrics", "wer", "duration"], capsys)
    assert "3 problems; the rest was evaluated" in error
    found = result_of(tmp_path / "out")
    reasons = {(problem["clip"], problem["system"]): problem["reason"] for problem in found["problems"]}
    assert "no audio file for a" in reasons["a", "slow"]
    assert "the resynthesised audio is silent" in reasons["b", "slow"]
    assert "samples are too few to measure" in reasons["c", "ground-truth"]
    assert found["means"]["slow"]["wer"] == {"mean": 0.0, "low": 0.0, "high": 0.0, "count": 1}
    assert found["means"]["slow"]["duration"]["count"] == 0  # its recording is too short


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--texts", "none.txt"], "--texts: none.txt: no such file"),
        (["--texts", "FILE", "--baseline", "x"], "--baseline: x is none of the systems: ground-truth"),
        (["--texts", "FILE", "--metrics", "stoi"], "--metrics: stoi is none of wer rate duration"),
        (["--texts", "FILE", "--metrics", "rate", "--cuda"], "--cuda: has no effect with --texts"),
        (["--texts", "FILE", "--metrics", "wer", "--recogniser", "huge"], "--recogniser: huge is neither a folder"),
        (["-i", "FOLDER", "--recogniser", "tiny", "--system", "griffin-lim"], "--recogniser: has no effect without"),
        (["--texts", "FILE", "-o", "FOLDER/out", "--system", "a=FOLDER"], "-o: "),
        (["--texts", "FILE", "--report", "FOLDER/page", "--system", "a=FOLDER"], "--report: "),
        (["--texts", "FILE", "--report", "page", "--logs", "run"], "run: no such log"),
        (["--texts", "FILE", "--report-clips", "3"], "--report-clips: has no effect without --report"),
        (["--texts", "FILE", "-i", "FOLDER", "-d", "data"], "-d: has no effect with --texts and -i"),
        (["--texts", "PHRASES"], "--system: give at least one system that speaks the texts"),
    ],
)
def test_flags_that_are_refused(words, message, data, model, tmp_path, capsys):
    (tmp_path / "phrases.txt").write_text("Hello.\n")
    places = {"FILE": data / "metadata.csv", "FOLDER": data / "wavs", "PHRASES": tmp_path / "phrases.txt"}
    for name, path in places.items():
        words = [word.replace(name, str(path)) for word in words]
    assert message in error_of(["-o", tmp_path / "out", *words], capsys)
    assert not (tmp_path / "out").exists()


def test_recordings_alone(data, model, tmp_path):
    """The recordings alone can be judged too: their word errors come from the recogniser."""
    assert evaluate.main(arguments(tmp_path, data / "metadata.csv", "--recogniser", model, "--metrics", "wer")) == 0
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [system["name"] for system in found["systems"]] == ["ground-truth"]
    assert found["baseline"] == "ground-truth"
