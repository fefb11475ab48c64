"""Voices are found by name or by folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.download.hub import HubOptions
from common.errors import InputError
from tests.support.web.hub_server import Hub
from voice import folder
from voice.folder import FASTPITCH_FILE, HIFIGAN_FILE, find_voice, known_voices


def make(path: Path, *files: str) -> Path:
    path.mkdir(parents=True)
    for file in files:
        (path / file).touch()
    return path


@pytest.fixture
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `pretrained` with the voices ann and bob. The working directory holds another folder ann."""
    monkeypatch.setattr(folder, "PRETRAINED", tmp_path / "pretrained")
    for name in ("bob", "ann"):
        make(tmp_path / "pretrained" / name, HIFIGAN_FILE, FASTPITCH_FILE)
    make(tmp_path / "pretrained" / "empty")
    make(tmp_path / "work" / "ann", HIFIGAN_FILE, FASTPITCH_FILE)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "pretrained"


def test_names_come_before_folders(pretrained: Path) -> None:
    assert known_voices() == ["ann", "bob"]
    assert find_voice("ann").folder == pretrained / "ann"
    assert find_voice("./ann").folder.resolve() == Path("ann").resolve() or find_voice("./ann").name == "ann"
    here = find_voice(Path.cwd() / "ann")
    assert (here.name, here.folder) == ("ann", Path.cwd() / "ann")
    assert here.hifigan == here.folder / "hifigan.safetensors"
    assert here.fastpitch == here.folder / "fastpitch.safetensors"
    assert here.card == here.folder / "README.md"


def test_missing_voices(pretrained: Path) -> None:
    for word, message in (
        ("carol", rf"carol: no such voice or folder \(in {pretrained}: ann, bob\); give --voice a folder made by"),
        ("./a/carol", "'./a/carol': no such folder of a voice"),
        ("", "'': no such folder of a voice"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            find_voice(word)
    with pytest.raises(InputError, match=r"empty: not a voice: hifigan\.safetensors and fastpitch\.safetensors miss"):
        find_voice("empty")
    (pretrained / "bob" / FASTPITCH_FILE).unlink()
    with pytest.raises(InputError, match=r"bob: not a voice: fastpitch\.safetensors missing \(python -m voice\.pack"):
        find_voice("bob")


def test_voices_on_the_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "source", HIFIGAN_FILE, FASTPITCH_FILE, "notes.txt")
    commit = hub.add("org/dora", tmp_path / "source")
    files = find_voice("org/dora")
    assert (files.name, files.folder.name) == ("org/dora", commit)
    assert sorted(path.name for path in files.folder.iterdir()) == [FASTPITCH_FILE, HIFIGAN_FILE]
    asked = len(hub.requests)
    assert find_voice("org/dora", HubOptions(local_files_only=True)) == files
    local = make(tmp_path / "work" / "org" / "dora", HIFIGAN_FILE, FASTPITCH_FILE)
    monkeypatch.chdir(tmp_path / "work")
    assert find_voice("org/dora").folder.resolve() == local
    assert len(hub.requests) == asked
    hub.add("org/model", make(tmp_path / "other", "config.json"))
    with pytest.raises(InputError, match=r"not a voice: hifigan\.safetensors and fastpitch\.safetensors missing"):
        find_voice("org/model")
