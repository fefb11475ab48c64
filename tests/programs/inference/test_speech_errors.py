"""Flags, phrases, and models that `inference.py --fastpitch` refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import inference
from tests.support.models import make_fastpitch
from tests.support.paths import REPOSITORY
from tests.support.programs import one_line_of_error
from tests.support.speech import lines, words

REFUSED_FLAGS: dict[str, tuple[list[str], str]] = {
    "pace 0": (["--pace", "0"], "--pace: 0.0 does not lie between 0.1 and 10.0"),
    "pace nan": (["--pace", "nan"], "--pace: nan does not lie"),
    "speaker": (["--speaker", "3"], "--speaker: speaker '3' is unknown to MODEL, whose speakers are 0 to 2"),
    "negative speaker": (["--speaker", "-1"], "--speaker: speaker '-1' is unknown"),
    "formula": (["--pitch-transform-custom", "pitch +"], "--pitch-transform-custom: pitch formula 'pitch +'"),
    "code": (["--pitch-transform-custom", "open('x')"], "--pitch-transform-custom: pitch formula"),
    "amplify": (["--pitch-transform-amplify", "inf"], "--pitch-transform-amplify: inf is not a finite number"),
    "infinite": (["--pitch-transform-custom", "1 / (pitch - pitch)"], "gives values that are not finite"),
    "scripted": (
        ["--pitch-transform-custom", "1 / (pitch - pitch)", "--torchscript"],
        "pitch formula: it gives values that are not finite",
    ),
    "probability": (["--p-arpabet", "1.5"], "--p-arpabet: 1.5 does not lie between 0 and 1"),
    "dictionary": (
        ["--p-arpabet", "1", "--cmudict-path", "no.dict"],
        "no.dict: no such pronouncing dictionary; to get one",
    ),
    "heteronyms": (["--p-arpabet", "1", "--heteronyms-path", "no.txt"], "no.txt: no such list of heteronyms"),
    "symbols": (
        ["--symbol-set", "english_expanded"],
        "--symbol-set: english_expanded contradicts MODEL, which was trained with english_basic; remove the flag",
    ),
    "cleaners": (["--text-cleaners", "basic_cleaners"], "--text-cleaners: basic_cleaners contradicts MODEL"),
    "split": (["--split-longer-than", "-1"], "--split-longer-than: -1 is below 0"),
    "no model": (["--fastpitch", ""], "--fastpitch: names no checkpoint"),
    "absent model": (["--fastpitch", "absent.pt"], "absent.pt: no such checkpoint"),
    "audio": (["-i", str(REPOSITORY)], "is audio; with --fastpitch, give a phrase file"),
}


@pytest.mark.parametrize("kind", REFUSED_FLAGS)
def test_bad_flags(models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    more, message = REFUSED_FLAGS[kind]
    (tmp_path / "p.txt").write_text(lines())
    error = one_line_of_error(inference.main, words(models, tmp_path / "p.txt", tmp_path / "out", *more), capsys)
    assert message.replace("MODEL", str(models[1])) in error
    assert not list(tmp_path.rglob("*.wav"))


REFUSED_PHRASES: dict[str, tuple[str, str]] = {
    "no text column": ("mel\toutput\nm.pt\ta\n", "line 2: a.wav has no text"),
    "nothing remains": ("* * *\n🙂 ~\n", "2 of 2 texts cannot be used: "),
    "short row": ("text\toutput\nFine.\ta\nBad.\n", "line 3 has 1 columns, the header has 2"),
    "outside": ("ok.wav|Fine.\n../../x.wav|Bad.\n", "line 2: output name '../../x.wav' does not lie inside"),
    "absolute": ("/tmp/x.wav|Bad.\n", "line 1: output name '/tmp/x.wav'"),
    "empty": ("", "the phrase file is empty"),
}
# Files with a second line that cannot be spoken.
SKIPPED_PHRASES: dict[str, tuple[str, str]] = {
    "no text": ("a.wav|Fine.\nb.wav|\n", "line 2: b.wav has no text to speak"),
    "nothing remains": ("a.wav|Fine.\n\nb.wav|🙂 ~\n", "line 3: nothing can be spoken of the text"),
    "notation": ("a.wav|Fine.\nb.wav|{HH AX L}\n", "line 2: the pronunciation '{HH AX L}' has the unknown phonemes"),
    "voice": ("text\tspeaker\nFine.\t2\nBad.\t3\n", "line 3: speaker '3' is unknown to MODEL, whose speakers are 0 to"),
    "no number": ("text\tspeaker\nFine.\t0\nBad.\tx\n", "line 3: speaker 'x' is unknown"),
    "no pitch": ("text\tpitch\nFine.\t\nBad.\tabsent.npy\n", "line 3: DIR/absent.npy: no such pitch file"),
    "pitch length": (
        "text\tpitch\nFine.\tfive.npy\nBad ones.\tfive.npy\n",
        "line 3: DIR/five.npy has 5 values of pitch, but the text has 9 symbols",
    ),
    "pitch shape": ("text\tpitch\nFine.\t\nBad.\ttwo.npy\n", "two.npy: expected pitch of shape [symbols], got [2, 5]"),
    "negative pitch": ("text\tpitch\nFine.\t\nBad.\tnegative.npy\n", "negative.npy: the pitch has values that are neg"),
    "text for pitch": ("text\tpitch\nFine.\t\nBad.\ttext.npy\n", "text.npy: not a readable pitch file"),
}


def _refuse(models: tuple[Path, Path], folder: Path, content: str, message: str, capsys: pytest.CaptureFixture) -> str:
    np.save(folder / "five.npy", np.full(5, 200.0))
    np.save(folder / "two.npy", np.full((2, 5), 200.0))
    np.save(folder / "negative.npy", np.full(5, -1.0))
    (folder / "text.npy").write_text("200 200 200 200 200")
    source = folder / "phrases.tsv"
    source.write_text(content)
    argv = words(models, source, folder / "out", "-d", folder, "-bs", 1)
    error = one_line_of_error(inference.main, argv, capsys)
    assert message.replace("MODEL", str(models[1])).replace("DIR", str(folder)) in error
    assert str(folder) in error
    return error


@pytest.mark.parametrize("kind", REFUSED_PHRASES)
def test_bad_phrase_files_stop_before_the_first_is_spoken(
    models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    _refuse(models, tmp_path, *REFUSED_PHRASES[kind], capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", SKIPPED_PHRASES)
def test_a_line_that_cannot_be_spoken_is_skipped(
    models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    error = _refuse(models, tmp_path, *SKIPPED_PHRASES[kind], capsys)
    assert "1 of 2 texts cannot be used; all others are made: " in error
    assert len(list((tmp_path / "out").glob("*.wav"))) == 1


def _setup(**changes: object) -> Callable[[dict], None]:
    def change(content: dict) -> None:
        content["train_setup"].update(changes)

    return change


REFUSED_MODELS: dict[str, tuple[Callable[[dict], object], str]] = {
    "rate": (
        _setup(sampling_rate=16000, mel_fmax=7600.0),
        "MODEL and GENERATOR do not fit together: sampling_rate 16000 instead of 22050, mel_fmax 7600.0 instead of",
    ),
    "hop": (_setup(hop_length=200), "do not fit together: hop_length 200 instead of 256"),
    "window": (_setup(win_length=800), "win_length 800 instead of 1024"),
    "n_fft": (_setup(filter_length=2048), "filter_length 2048 instead of 1024"),
    "fmin": (_setup(mel_fmin=50.0), "mel_fmin 50.0 instead of 0.0"),
    "symbols": (
        _setup(symbol_set="english_expanded"),
        "MODEL: the model has 148 symbols (n_symbols), but the symbol set english_expanded 175",
    ),
    "unknown symbols": (_setup(symbol_set="klingon"), "MODEL: text settings of the checkpoint and the flags"),
    "cleaner": (_setup(text_cleaners=["german_cleaners"]), "unknown text cleaner 'german_cleaners'"),
    "cleaners": (_setup(text_cleaners=7), "7 is not the name of a symbol set or text cleaner"),
    "probability": (_setup(p_arpabet="often"), "p_arpabet: 'often' is not a number between 0 and 1"),
    "generator": (lambda content: {"generator": {"conv_pre.weight": torch.zeros(1)}}, "MODEL: not a FastPitch"),
    "NaN": (
        lambda content: content["state_dict"]["duration_predictor.fc.bias"].fill_(torch.nan) and None,
        "the durations are not finite numbers; the checkpoint is damaged",
    ),
}


@pytest.mark.parametrize("kind", REFUSED_MODELS)
def test_models_that_do_not_fit(
    models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    change, message = REFUSED_MODELS[kind]

    def changed(content: dict) -> object:
        edited = change(content)
        return edited if isinstance(edited, dict) else None

    path = make_fastpitch(tmp_path / "f.pt", changed)
    (tmp_path / "p.txt").write_text("Hello.\n")
    argv = words((models[0], path), tmp_path / "p.txt", tmp_path / "out")
    error = one_line_of_error(inference.main, argv, capsys)
    assert message.replace("MODEL", str(path)).replace("GENERATOR", str(models[0])) in error
    assert not list(tmp_path.rglob("*.wav"))


def test_other_numbers_of_bands_are_refused(
    models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_fastpitch(tmp_path / "f.pt", n_mel_channels=64)
    (tmp_path / "p.txt").write_text("Hello.\n")
    error = one_line_of_error(inference.main, words((models[0], path), tmp_path / "p.txt", tmp_path / "out"), capsys)
    assert "num_mels 64 instead of 80" in error


def test_flags_of_speech_need_a_model(
    models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.txt").write_text("Hello.\n")
    argv = ["--hifigan", str(models[0]), "-i", str(tmp_path / "p.txt"), "-o", str(tmp_path / "out")]
    for more in (["--pace", "1.0"], ["--speaker", "0"], ["--save-mels"], ["--text_cleaners", "a", "b"], ["--seed=3"]):
        error = one_line_of_error(inference.main, [*argv, *more], capsys)
        flag = more[0].partition("=")[0].replace("_", "-")
        assert f"error: {flag}: has no effect without --fastpitch" in error
    assert "(to speak texts, give --fastpitch)" in one_line_of_error(inference.main, argv, capsys)


def test_saving_mels_overwrites_nothing(
    models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    source = tmp_path / "p.tsv"

    def refused(content: str) -> str:
        source.write_text(content)
        return one_line_of_error(inference.main, words(models, source, output, "--save-mels", "-d", output), capsys)

    assert "the mels of a.wav and a.WAV would both be written to a.npy" in refused("a|One.\na.WAV|Two.\n")
    np.save(output / "a.npy", np.full(4, 200.0))
    before = (output / "a.npy").read_bytes()
    assert f"{output / 'a.npy'}: exists, but no audio_config.json records how it was made" in refused("a|One.\n")
    (output / "audio_config.json").write_text(json.dumps({"framing": "vocoder"}))
    assert "holds mels of another configuration" in refused("a|One.\n")
    assert "is read (pitch) and would be overwritten" in refused("text\toutput\tpitch\nOne.\ta\ta.npy\n")
    assert (output / "a.npy").read_bytes() == before
    assert not list(tmp_path.rglob("*.wav"))
