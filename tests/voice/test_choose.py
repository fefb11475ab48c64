"""Which models the flags of inference.py stand for, and flags that contradict each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from voice import choose, folder
from voice.choose import choose_models, describe
from voice.folder import FASTPITCH_FILE, HIFIGAN_FILE


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with inputs of each kind and the voice ann, beside the voices of the project: kathleen."""
    for place in (tmp_path / "pretrained" / "kathleen", tmp_path / "work" / "ann"):
        place.mkdir(parents=True)
        for name in (HIFIGAN_FILE, FASTPITCH_FILE):
            (place / name).touch()
    work = tmp_path / "work"
    (work / "clips").mkdir()
    (work / "clip.flac").touch()
    (work / "texts.txt").write_text("Hello.\n")
    (work / "mels.tsv").write_text("mel\toutput\na.pt\ta\n")
    (work / "both.tsv").write_text("mel\toutput\ttext\na.pt\ta\tHello.\n")
    monkeypatch.chdir(work)
    for module in (folder, choose):
        monkeypatch.setattr(module, "PRETRAINED", tmp_path / "pretrained")
    return work


@pytest.mark.parametrize(
    ("source", "speaks"),
    [
        ({"text": "Hello."}, True),
        ({"input": "texts.txt"}, True),
        ({"input": "both.tsv"}, True),
        ({"input": "mels.tsv"}, False),
        ({"input": "clip.flac"}, False),
        ({"input": "clips"}, False),
    ],
)
def test_the_default_voice_serves_each_kind_of_input(source: dict[str, str], speaks: bool, tmp_path: Path) -> None:
    given: dict[str, Any] = dict(source)
    choose_models(given)
    kathleen = tmp_path / "pretrained" / "kathleen"
    expected = {**source, "voice": "kathleen", "hifigan": str(kathleen / HIFIGAN_FILE)}
    assert given == expected | ({"fastpitch": str(kathleen / FASTPITCH_FILE)} if speaks else {})


def test_a_folder_and_own_models() -> None:
    given: dict[str, Any] = {"voice": "ann", "text": "Hello.", "pace": 2.0}
    choose_models(given)
    assert given["hifigan"] == str(Path("ann") / HIFIGAN_FILE)
    for own in ({"hifigan": "g.pt", "input": "texts.txt"}, {"hifigan": "g.pt", "fastpitch": "f.pt", "text": "Hello."}):
        given = dict(own)
        choose_models(given)
        assert given == own


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"voice": "ann", "hifigan": "g.pt"}, "--voice: is in place of --hifigan; remove one of them"),
        ({"voice": "ann", "fastpitch": "f.pt"}, "--voice: is in place of --fastpitch"),
        ({"text": "a", "input": "texts.txt"}, "--text: is in place of -i; remove one of them"),
        ({"text": " \n"}, "--text: is empty"),
        ({"text": "a", "hifigan": "g.pt"}, "--text: with --hifigan, needs --fastpitch"),
        ({"text": "a", "fastpitch": "f.pt"}, "--fastpitch: needs --hifigan"),
        ({"text": "a", "ema": True}, "--ema: has no effect on a voice"),
        ({"text": "a", "hifigan_config": "v1"}, "--hifigan-config: has no effect on a voice"),
        ({"text": "a", "fastpitch_ema": True}, "--fastpitch-ema: has no effect on a voice"),
        ({"text": "a", "mel_log": "auto"}, "--mel-log: has no effect on texts, only on mel files"),
        ({"input": "clips", "pace": 1.0}, "--pace: has no effect without texts, and clips has none"),
        ({"input": "mels.tsv", "save_mels": True}, "--save-mels: has no effect without texts, and mels.tsv has none"),
        ({"text": "a", "voice": "bob"}, r"bob: no such voice or folder \(in .*: kathleen\)"),
        ({"input": "absent.txt"}, "absent.txt: no such phrase file"),
    ],
)
def test_contradictions(given: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, FileNotFoundError), match=message):
        choose_models(dict(given))


def test_the_default_voice_is_missing(tmp_path: Path) -> None:
    (tmp_path / "pretrained" / "kathleen").rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"no model is named, and the default voice, .*kathleen, is missing; give --v"):
        choose_models({"text": "Hello."})
    with pytest.raises(InputError, match=r"^-i: is required, or --text"):  # the better error
        choose_models({})


def test_the_line_that_names_the_voice(tmp_path: Path) -> None:
    rest = "--voice NAME|DIR takes another, --hifigan and --fastpitch take your own models"
    file = str(tmp_path / "pretrained" / "kathleen" / HIFIGAN_FILE)
    assert describe("kathleen", file) == f"voice: kathleen (pretrained/kathleen); {rest}"
    assert describe("ann", "ann/" + HIFIGAN_FILE) == f"voice: ann; {rest}"
