"""`prepare_dataset.py --write-filelists` splits a data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.data.filelists import read_filelist
from tests.support.paths import REPOSITORY
from tests.support.preparation import contents, prepare, refused


def test_file_lists(dataset: Path, tmp_path: Path) -> None:
    assert prepare(dataset, "--write-filelists", tmp_path / "lists", "--validation-clips", 1) == 0
    lists = {path.name: read_filelist(path) for path in (tmp_path / "lists").glob("*_audio_*")}
    parts = ("train", "val", "text", "pitch_text", "pitch_text_train", "pitch_text_val")
    assert lists.keys() == {f"data_audio_{part}.txt" for part in parts}
    wavs = ["wavs/anna/001.wav", "wavs/ben/001.wav", "wavs/c.flac"]
    held_out, rest = lists["data_audio_val.txt"], lists["data_audio_train.txt"]
    assert len(held_out) == 1
    assert sorted(held_out + rest) == [[wav] for wav in wavs]
    texts = ["One.", "Doctor two.", "Three."]
    assert lists["data_audio_text.txt"] == [[wav, text] for wav, text in zip(wavs, texts, strict=True)]
    pitch = ["pitch/anna/001.pt", "pitch/ben/001.pt", "pitch/c.pt"]
    rows = [list(row) for row in zip(wavs, pitch, texts, strict=True)]
    assert lists["data_audio_pitch_text.txt"] == rows
    assert lists["data_audio_pitch_text_train.txt"] == [row for row in rows if row[:1] in rest]
    assert lists["data_audio_pitch_text_val.txt"] == [row for row in rows if row[:1] in held_out]
    first = contents(tmp_path / "lists")
    assert prepare(dataset, "--write_filelists", tmp_path / "lists") == 0, "a tenth, at least one"
    assert contents(tmp_path / "lists") == first
    assert prepare(dataset, "--write-filelists", tmp_path / "lists", "--name", "own") == 0
    assert (tmp_path / "lists" / "own_audio_val.txt").is_file()


def test_file_lists_of_ljspeech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = json.loads((REPOSITORY / "common" / "data" / "ljspeech_split.json").read_text())
    named = [*split["val"], *split["test"], *split["discard"], *split["corrected_transcripts"], "LJ001-0001"]
    (tmp_path / "wavs").mkdir()
    for clip in named:
        (tmp_path / "wavs" / f"{clip}.wav").touch()
    (tmp_path / "metadata.csv").write_text("".join(f"{clip}|Raw|Text of {clip}\n" for clip in sorted(set(named))))
    assert prepare(tmp_path, "--write-filelists", tmp_path / "lists", "--split", "ljspeech") == 0
    lists = {path.name: read_filelist(path) for path in (tmp_path / "lists").glob("*_audio_*")}
    parts = [f"{kind}{part}" for kind in ("", "pitch_text_") for part in ("train_v3", "val", "test")]
    assert lists.keys() == {f"ljs_audio_{part}.txt" for part in (*parts, "text", "pitch_text")}
    assert lists["ljs_audio_val.txt"] == [[f"wavs/{clip}.wav"] for clip in split["val"]]
    assert lists["ljs_audio_test.txt"] == [[f"wavs/{clip}.wav"] for clip in split["test"]]
    assert ["wavs/LJ001-0001.wav"] in lists["ljs_audio_train_v3.txt"]
    texts = dict(lists["ljs_audio_text.txt"])
    assert not [clip for clip in split["discard"] if f"wavs/{clip}.wav" in texts]
    for clip, text in split["corrected_transcripts"].items():
        assert texts[f"wavs/{clip}.wav"] == text


def test_file_lists_by_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wavs").mkdir()
    texts = {f"p{i}_{take}": f"Text {i}." for i in range(6) for take in (1, 2)}
    for clip in texts:
        (tmp_path / "wavs" / f"{clip}.flac").touch()
    metadata = tmp_path / "metadata.csv"
    metadata.write_text("".join(f"{clip}|{text}\n" for clip, text in texts.items()))
    assert prepare(tmp_path, "--write-filelists", tmp_path / "lists", "--split", "prompt", "--name", "voice") == 0
    lists = {path.name: read_filelist(path) for path in (tmp_path / "lists").glob("*_audio_*")}
    parts = [f"{kind}{part}" for kind in ("", "pitch_text_") for part in ("train", "val", "test")]
    assert lists.keys() == {f"voice_audio_{part}.txt" for part in (*parts, "text", "pitch_text")}
    rows = {part: lists[f"voice_audio_pitch_text_{part}.txt"] for part in ("train", "val", "test")}
    assert {part: len(found) for part, found in rows.items()} == {"train": 8, "val": 2, "test": 2}
    assert all(text == texts[Path(wav).stem] for found in rows.values() for wav, _, text in found)
    metadata.write_text("p1_1|One.\np1_2|One.\n")
    error = refused(capsys, tmp_path, "--write-filelists", tmp_path / "lists", "--split", "prompt")
    assert "--split prompt: needs three different prompts or more" in error


def test_metadata_without_audio(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / "wavs" / "c.flac").unlink()
    error = refused(capsys, dataset, "--write-filelists", tmp_path / "lists")
    assert "1 of 3 clips of metadata.csv have no audio: c, such as" in error
    assert error.rstrip().endswith("wavs/c.wav; --skip-missing leaves them out")
    (dataset / "metadata.csv").write_text("".join(f"x{i}|Text {i}.\n" for i in range(5)))
    for words in ([], ["--skip-missing"]):
        error = refused(capsys, dataset, "--write-filelists", tmp_path / "lists", *words)
        assert "5 of 5 clips of metadata.csv have no audio: x0, x1, x2, ..., such as" in error
    (dataset / "metadata.csv").write_bytes(b"c|\xe9\xe8\n")
    assert "metadata.csv: not a UTF-8" in refused(capsys, dataset, "--write-filelists", tmp_path / "lists")
    (dataset / "metadata.csv").unlink()
    assert "metadata.csv: no such file" in refused(capsys, dataset, "--write-filelists", tmp_path / "lists")
    assert not (tmp_path / "lists").exists()


def test_unusable_clips_are_skipped(dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (dataset / "metadata.csv").open("a") as file:
        file.write("lost|Nobody recorded this.\n")
    metadata = (dataset / "metadata.csv").read_text().replace("Three.", "")
    (dataset / "metadata.csv").write_text(metadata)
    assert prepare(dataset, "--write-filelists", tmp_path / "lists", "--skip-missing") == 0
    assert "1 of 4 clips of metadata.csv have no audio: lost" in caplog.text
    assert "1 of 4 clips of metadata.csv have no text: c; skipped" in caplog.text
    rows = read_filelist(tmp_path / "lists" / "data_audio_pitch_text.txt")
    assert [row[0] for row in rows] == ["wavs/anna/001.wav", "wavs/ben/001.wav"]


@pytest.mark.parametrize("layout", ["{clip}|{speaker}|{text}", "wavs/{speaker}/{clip}.wav|{text}|{speaker}"])
def test_speakers(tmp_path: Path, layout: str) -> None:
    texts = {"a1": "Never mind.", "a2": "She left.", "b1": "It rained.", "b2": "They ate soup."}
    for clip in texts:
        path = tmp_path / "wavs" / f"p{clip[0]}" / f"{clip}.WAV"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    rows = [layout.format(clip=clip, speaker=f"p{clip[0]}", text=text) for clip, text in texts.items()]
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    assert prepare(tmp_path, "--write-filelists", tmp_path / "lists", "--name", "two") == 0
    assert read_filelist(tmp_path / "lists" / "two_audio_pitch_text.txt") == [
        [f"wavs/p{clip[0]}/{clip}.WAV", f"pitch/p{clip[0]}/{clip}.pt", text, str("ab".index(clip[0]))]
        for clip, text in texts.items()
    ]
    assert json.loads((tmp_path / "lists" / "two_speakers.json").read_text()) == {"pa": 0, "pb": 1}
    rows = [f"p{clip[0]}/{clip}|{text}" for clip, text in texts.items()]
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    assert prepare(tmp_path, "--write-filelists", tmp_path / "lists", "--name", "two") == 0
    assert not (tmp_path / "lists" / "two_speakers.json").exists(), "the names of earlier speakers would be stale"


def test_bars_do_not_end_columns(dataset: Path, tmp_path: Path) -> None:
    (dataset / "metadata.csv").write_text("anna/001|Left | right.\nc|One | two | three.\n")
    words = ["--write-filelists", tmp_path / "lists", "--metadata-columns", "id,text"]
    assert prepare(dataset, *words) == 0
    rows = read_filelist(tmp_path / "lists" / "data_audio_pitch_text.txt")
    assert [row[2] for row in rows] == ["Left right.", "One two three."]
