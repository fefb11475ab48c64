"""The demo data maker, with a fake voice instead of network and synthesiser."""

from __future__ import annotations

import importlib.util
import math
import os
import re
import subprocess
import sys
import wave
from array import array
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "make_demo_data.py"
SHELL_SCRIPT = ROOT / "scripts" / "make_demo_data.sh"

spec = importlib.util.spec_from_file_location("make_demo_data", SCRIPT)
assert spec is not None
assert spec.loader is not None
demo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(demo)

SENTENCES = {"DEMO-0001": "One.", "DEMO-0002": "Two, three.", "DEMO-0003": "Four?"}


class FakeVoice:
    """A voice with one stream of noise: each sentence is a square wave as high as the number of sentences so far.

    Attributes:
        fails_on: the text at which it raises.
        loads: number of times it was loaded.
        spoken: texts since it was last loaded.
    """

    def __init__(self, fails_on: str = ""):
        self.fails_on = fails_on
        self.loads = 0
        self.spoken: list[str] = []

    def load(self):
        self.loads += 1
        self.spoken = []
        return self.speak

    def speak(self, text: str) -> array[int]:
        if text == self.fails_on:
            raise RuntimeError("sore throat")
        self.spoken.append(text)
        height = 1000 * len(self.spoken)
        return array("h", [height, -height] * 500)


def files(directory: Path) -> dict[str, bytes]:
    """Map the relative path of every file below a directory to its content."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def make(directory: Path, sentences: dict[str, str] = SENTENCES, voice: FakeVoice | None = None) -> FakeVoice:
    voice = voice or FakeVoice()
    demo.make_demo_data(directory, sentences, voice.load)
    return voice


def test_the_texts_are_forty_different_short_ascii_sentences():
    texts = demo.TEXTS.read_text(encoding="ascii").splitlines()
    assert len(texts) == len(set(texts)) == 40
    for text in texts:
        assert re.fullmatch(r"[A-Z][A-Za-z,;:' -]*[.?!]", text), text
        assert 3 <= len(text.split()) <= 25, text


def test_the_texts_have_questions_exclamations_and_every_letter():
    text = demo.TEXTS.read_text(encoding="ascii")
    assert set("?!,;:'") <= set(text)
    assert set("abcdefghijklmnopqrstuvwxyz") <= set(text.lower())


def test_the_shell_script_parses():
    subprocess.run(["bash", "-n", SHELL_SCRIPT], check=True)


def test_every_requirement_is_pinned():
    lines = (ROOT / "scripts" / "demo-requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins
    for pin in pins:
        assert re.fullmatch(r'[a-z-]+==[0-9.]+(; python_version (<|>=) "3\.11")?', pin), pin


def test_sentences_are_numbered_from_one(tmp_path):
    (tmp_path / "texts.txt").write_text("One.\nTwo, three.\nFour?\n", encoding="ascii")
    assert demo.read_sentences(tmp_path / "texts.txt") == SENTENCES


def test_a_data_set_in_ljspeech_layout(tmp_path):
    make(tmp_path)
    assert set(files(tmp_path)) == {"metadata.csv"} | {f"wavs/{name}.wav" for name in SENTENCES}
    assert (tmp_path / "metadata.csv").read_text(encoding="utf-8") == (
        "DEMO-0001|One.|One.\nDEMO-0002|Two, three.|Two, three.\nDEMO-0003|Four?|Four?\n"
    )
    with wave.open(str(tmp_path / "wavs" / "DEMO-0002.wav")) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, 22050)
        assert array("h", wav.readframes(wav.getnframes())) == array("h", [2000, -2000] * 500)


def test_progress_counts_the_missing_clips(tmp_path):
    make(tmp_path)
    demo.clip_path(tmp_path, "DEMO-0002").unlink()
    seen: list[tuple[int, int]] = []
    demo.make_demo_data(tmp_path, SENTENCES, FakeVoice().load, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 1)]


def test_a_complete_data_set_does_not_load_the_voice(tmp_path):
    make(tmp_path)
    assert make(tmp_path).loads == 0


def test_a_failing_voice_leaves_only_whole_clips_and_no_metadata(tmp_path):
    with pytest.raises(demo.DemoError, match=r"DEMO-0003, 'Four\?': sore throat"):
        make(tmp_path, voice=FakeVoice(fails_on="Four?"))
    assert set(files(tmp_path)) == {"wavs/DEMO-0001.wav", "wavs/DEMO-0002.wav"}
    assert demo.is_complete_clip(demo.clip_path(tmp_path, "DEMO-0002"))
    assert not demo.is_complete(tmp_path, SENTENCES)


def test_a_voice_that_cannot_be_loaded_is_named(tmp_path):
    def load():
        raise ValueError("its sampling rate is 16000 Hz, not 22050 Hz")

    with pytest.raises(demo.DemoError, match="could not be loaded: its sampling rate is 16000 Hz"):
        demo.make_demo_data(tmp_path, SENTENCES, load)


def test_a_silent_voice_is_an_error(tmp_path):
    with pytest.raises(demo.DemoError, match=r"DEMO-0001.*the audio is silent"):
        demo.make_demo_data(tmp_path, SENTENCES, lambda: lambda text: array("h", [3] * 9000))
    assert files(tmp_path) == {}


def test_a_resumed_data_set_equals_an_uninterrupted_one(tmp_path):
    make(tmp_path / "whole")
    with pytest.raises(demo.DemoError):
        make(tmp_path / "resumed", voice=FakeVoice(fails_on="Two, three."))
    make(tmp_path / "resumed")
    assert files(tmp_path / "resumed") == files(tmp_path / "whole")


def test_a_resumed_run_keeps_complete_clips_and_stops_at_the_last_missing_one(tmp_path):
    make(tmp_path)
    kept = demo.clip_path(tmp_path, "DEMO-0001")
    os.utime(kept, (1, 1))
    demo.clip_path(tmp_path, "DEMO-0002").unlink()
    voice = make(tmp_path)
    assert kept.stat().st_mtime == 1
    assert voice.spoken == ["One.", "Two, three."]


@pytest.mark.parametrize("damage", ["empty", "cut short", "header only", "not a wav", "no samples", "other rate"])
def test_a_broken_clip_is_made_again(tmp_path, damage):
    make(tmp_path)
    whole = files(tmp_path)
    path = demo.clip_path(tmp_path, "DEMO-0002")
    content = path.read_bytes()
    if damage in ("no samples", "other rate"):
        with wave.open(str(path), "wb") as wav:
            wav.setparams((1, 2, 16000 if damage == "other rate" else 22050, 0, "NONE", ""))
            wav.writeframes(b"\1\2" * (1000 if damage == "other rate" else 0))
    else:
        broken = {"empty": b"", "cut short": content[:-2], "header only": content[:44], "not a wav": b"x" * 2044}
        path.write_bytes(broken[damage])
    assert not demo.is_complete(tmp_path, SENTENCES)
    make(tmp_path)
    assert files(tmp_path) == whole


def test_a_write_that_fails_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")

    def write(part: Path) -> None:
        part.write_text("ne", encoding="utf-8")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        demo.write_whole(path, write)
    assert files(tmp_path) == {"file": b"old"}


def test_a_file_is_replaced_not_overwritten(tmp_path):
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")
    (tmp_path / "link").hardlink_to(path)
    demo.write_whole(path, lambda part: part.write_text("new", encoding="utf-8"))
    assert files(tmp_path) == {"file": b"new", "link": b"old"}


def test_the_part_of_a_killed_run_is_removed_and_other_files_are_not(tmp_path):
    (tmp_path / "wavs").mkdir()
    (tmp_path / "wavs" / "DEMO-0009.wav.part").write_bytes(b"RIFF")
    (tmp_path / "download.part").write_bytes(b"mine")
    make(tmp_path)
    assert {name for name in files(tmp_path) if name.endswith(".part")} == {"download.part"}


@pytest.mark.parametrize(("limit", "count"), [("", 3), ("1", 1), ("2", 2), ("3", 3), ("50", 3)])
def test_demo_clips_takes_the_first_sentences(limit, count):
    assert list(demo.first_sentences(SENTENCES, limit)) == list(SENTENCES)[:count]


@pytest.mark.parametrize("limit", ["0", "-1", "two", "1.5", " ", "²"])
def test_demo_clips_must_be_a_positive_whole_number(limit):
    with pytest.raises(demo.DemoError, match="DEMO_CLIPS must be a whole number"):
        demo.first_sentences(SENTENCES, limit)


def test_another_demo_clips_makes_the_metadata_fit(tmp_path):
    two = demo.first_sentences(SENTENCES, "2")
    make(tmp_path / "grown", two)
    assert not demo.is_complete(tmp_path / "grown", SENTENCES)
    make(tmp_path / "grown")
    make(tmp_path / "whole")
    assert files(tmp_path / "grown") == files(tmp_path / "whole")

    assert not demo.is_complete(tmp_path / "grown", two)
    assert make(tmp_path / "grown", two).loads == 0
    assert demo.is_complete(tmp_path / "grown", two)
    assert len(demo.read_metadata_lines(tmp_path / "grown")) == 2


def test_long_silence_at_the_ends_is_shortened_and_short_silence_kept():
    speech = [round(9000 * math.sin(index / 5)) or 9000 for index in range(1, 1001)]
    speech[0] = speech[-1] = 9000
    kept = int(demo.SILENCE_AT_ENDS_SEC * 22050)
    hiss = [100, -100]
    trimmed = demo.trim_silence(array("h", hiss * 11025 + speech + hiss * 11025))
    assert len(trimmed) == kept + 1000 + kept
    assert list(trimmed[kept:-kept]) == speech
    short = array("h", hiss * 200 + speech * 5 + hiss * 300)
    assert demo.trim_silence(short) == short


def run_script(*arguments: str | Path, clips: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program in an interpreter without site packages, so without piper and numpy."""
    return subprocess.run(
        [sys.executable, "-S", str(SCRIPT), *map(str, arguments)],
        env={**os.environ, "DEMO_CLIPS": clips},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_check_needs_no_packages_and_knows_complete_from_incomplete(tmp_path):
    make(tmp_path, demo.first_sentences(demo.read_sentences(demo.TEXTS), "2"))
    assert run_script("--check", tmp_path, clips="2").returncode == 0
    assert run_script("--check", tmp_path, clips="3").returncode == 3
    demo.clip_path(tmp_path, "DEMO-0001").unlink()
    assert run_script("--check", tmp_path, clips="2").returncode == 3


def test_the_shell_script_returns_at_once_for_a_complete_data_set(tmp_path):
    make(tmp_path, demo.first_sentences(demo.read_sentences(demo.TEXTS), "1"))
    before = files(tmp_path)
    # This interpreter runs only the check, so that `pip` and `venv` would fail.
    python = tmp_path.parent / "check-only-python"
    python.write_text(f'#!/bin/sh\n[ "$2" = --check ] && exec "{sys.executable}" -S "$@"\nexit 9\n', encoding="utf-8")
    python.chmod(0o755)
    result = subprocess.run(
        ["bash", SHELL_SCRIPT, tmp_path],
        env={**os.environ, "DEMO_CLIPS": "1", "PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, f"demo data: 1 clips in {tmp_path}\n")
    assert files(tmp_path) == before


def test_errors_are_one_line_and_a_non_zero_status(tmp_path):
    missing_voice = run_script(tmp_path / "new", clips="1")
    bad_clips = run_script(tmp_path / "new", clips="none")
    for result in (missing_voice, bad_clips):
        assert result.returncode == 1
        assert result.stderr.startswith("make_demo_data: ")
        assert result.stderr.count("\n") == 1
    assert "the voice could not be loaded" in missing_voice.stderr
    assert "DEMO_CLIPS" in bad_clips.stderr
    assert files(tmp_path) == {}


def test_an_error_of_many_lines_becomes_one(tmp_path, monkeypatch, capsys):
    def load():
        raise ValueError("no\n  such voice\n")

    monkeypatch.setattr(demo, "load_piper", load)
    monkeypatch.delenv("DEMO_CLIPS", raising=False)
    assert demo.main([str(tmp_path)]) == 1
    assert capsys.readouterr().err == "make_demo_data: the voice could not be loaded: no such voice\n"


@pytest.mark.parametrize(
    "content", [b"LJ001-0001|Printing|Printing\n", b"DEMO-0001|Edited since.|x\n", b"caf\xe9|x|x\n"]
)
def test_another_data_set_is_not_overwritten(tmp_path, content):
    (tmp_path / "metadata.csv").write_bytes(content)
    result = run_script(tmp_path, clips="1")
    assert result.returncode == 1
    assert "holds other data" in result.stderr
    assert files(tmp_path) == {"metadata.csv": content}
