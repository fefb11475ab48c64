"""The folder of a recogniser's model, messages for models that cannot be used, and a real one where there is one."""

import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from evaluation.spoken import recogniser
from evaluation.spoken.recogniser import MODEL_FILES, find_model, load_recogniser

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


@pytest.mark.slow
@pytest.mark.skipif(not MODEL, reason="set HIFIGAN_TEST_RECOGNISER to the folder of a Whisper model")
def test_a_real_model_understands_nothing_in_noise_and_always_the_same():
    recognise = load_recogniser(Path(MODEL))
    wav = 0.01 * np.random.default_rng(0).standard_normal(2 * recogniser.RECOGNISER_RATE_HZ)
    assert recognise(wav) == recognise(wav)
    assert len(recognise(np.zeros(recogniser.RECOGNISER_RATE_HZ)).split()) < 3
