"""The folder of a recogniser's model, messages for models that cannot be used, and a real one where there is one."""

import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from common.recognition import whisper
from common.recognition.whisper import MODEL_FILES, find_model, load_recogniser

MODEL = os.environ.get("HIFIGAN_TEST_RECOGNISER", "")


@pytest.fixture
def package(monkeypatch, tmp_path):
    """Stand in for faster-whisper: `base` is in the cache, `small` can be downloaded, `tiny` cannot."""
    asked = []

    def download_model(name, local_files_only=False):
        asked.append((name, local_files_only))
        if name == "base" or (name == "small" and not local_files_only):
            return str(tmp_path / name)
        raise OSError("no network\nand more lines")

    fake = types.ModuleType("faster_whisper")
    fake.available_models = lambda: ["tiny", "base", "small"]
    fake.download_model = download_model
    monkeypatch.setitem(sys.modules, "faster_whisper", fake)
    return asked


def test_names_are_looked_up_before_they_are_downloaded(package, tmp_path):
    assert find_model("base") == tmp_path / "base"
    assert package == [("base", True)]
    assert find_model("small") == tmp_path / "small"
    assert package[1:] == [("small", True), ("small", False)]


def test_unknown_names_and_failed_downloads(package, tmp_path):
    with pytest.raises(InputError, match="--recogniser: huge is neither a folder nor one of tiny, base, small"):
        find_model("huge")
    with pytest.raises(InputError, match=r"--recogniser: tiny cannot be downloaded \(no network\); give the folder"):
        find_model("tiny")


def test_a_folder_is_used_as_it_is(tmp_path):
    for name in MODEL_FILES:
        (tmp_path / name).touch()
    assert find_model(str(tmp_path)) == tmp_path
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"has no tokenizer.json; give a Whisper model in CTranslate2 format"):
        find_model(str(tmp_path))


def test_a_damaged_model(tmp_path):
    pytest.importorskip("faster_whisper")
    for name in MODEL_FILES:
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(InputError, match=f"--recogniser: {tmp_path} cannot be loaded: "):
        load_recogniser(tmp_path)


class FakeModel:
    """Hears two windows, in any language that is asked for."""

    def __init__(self, multilingual=True):
        self.model = types.SimpleNamespace(is_multilingual=multilingual)
        self.asked = []

    def transcribe(self, wav, **options):
        self.asked.append((wav.dtype, options))
        word = types.SimpleNamespace(word=" Good", start=0.1, end=0.4, probability=0.9)
        values = {"text": " Good\n day.", "words": [word], "tokens": [1] * 3, "avg_logprob": -0.1}
        first = types.SimpleNamespace(**values, no_speech_prob=0.2, compression_ratio=1.5)
        other = {"text": " Yes ", "words": None, "tokens": [1], "avg_logprob": -0.5}
        last = types.SimpleNamespace(**other, no_speech_prob=0.6, compression_ratio=0.5)
        return iter([first, last] if len(wav) else []), None

    def detect_language(self, wav):
        return "de", 0.75, []


def test_windows_become_one_text():
    model = FakeModel()
    heard = whisper.recognise(model, np.zeros(10), "de")
    assert heard.text == "Good day. Yes"
    assert heard.words == (whisper.HeardWord("Good", 0.1, 0.4, 0.9),)
    assert heard.log_probability == pytest.approx(-(3 * 0.1 + 0.5) / 4), "the mean over tokens"
    assert (heard.no_speech, heard.compression) == (0.6, 1.5)
    (dtype, options) = model.asked[0]
    assert (dtype, options["language"], options["temperature"]) == (np.float32, "de", 0.0)
    assert whisper.recognise(model, np.zeros(0), "de") == whisper.Heard("")


def test_only_models_of_many_languages_tell_them_apart():
    assert whisper.detect_language(FakeModel(), np.zeros(10)) == ("de", 0.75)
    assert whisper.detect_language(FakeModel(multilingual=False), np.zeros(10)) is None


@pytest.mark.slow
@pytest.mark.skipif(not MODEL, reason="set HIFIGAN_TEST_RECOGNISER to the folder of a Whisper model")
def test_a_real_model_understands_nothing_in_noise_and_always_the_same():
    recognise = load_recogniser(Path(MODEL))
    wav = 0.01 * np.random.default_rng(0).standard_normal(2 * whisper.RECOGNISER_RATE_HZ)
    assert recognise(wav) == recognise(wav)
    assert len(recognise(np.zeros(whisper.RECOGNISER_RATE_HZ)).split()) < 3
