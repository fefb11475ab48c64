"""Flags, audio and file lists that `prepare_dataset.py` rejects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.preparation import add, contents, refused, tone


def _truncate(root: Path) -> None:
    path = add(root, "wavs/bad.wav", tone(22050))
    path.write_bytes(path.read_bytes()[:20000])


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "rate": (lambda root: add(root, "wavs/bad.wav", tone(9000), 16000), "sampling rate is 16000 Hz, expected 22050"),
    "text": (lambda root: (root / "wavs/bad.wav").write_text("text"), "not a readable audio file"),
    "no bytes": (lambda root: (root / "wavs/bad.wav").write_bytes(b""), "not a readable audio file"),
    "empty": (lambda root: add(root, "wavs/bad.wav", np.zeros(0)), "has no samples"),
    "truncated": (_truncate, "the audio file is truncated"),
    "short": (lambda root: add(root, "wavs/bad.wav", tone(384)), "384 samples are too few, need more than 384"),
    "NaN": (lambda root: add(root, "wavs/bad.wav", np.full(9000, np.nan), subtype="FLOAT"), "not finite"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_audio(dataset: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    spoil, message = BAD[kind]
    spoil(dataset)
    error = refused(capsys, dataset, "--extract-mels")
    assert message in error
    assert str(dataset / "wavs" / "bad.wav") in error
    mels = contents(dataset / "mels") if (dataset / "mels").exists() else {}
    assert "bad.pt" not in mels
    assert not [name for name in mels if name.endswith("tmp")]


def test_equal_targets(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(dataset, "wavs/c.wav", tone(9000))
    before = contents(dataset)
    error = refused(capsys, dataset, "--extract-mels")
    assert "wavs/c.wav and wavs/c.flac: both would be written to mels/c.pt" in error
    error = refused(capsys, dataset, "--convert-to", dataset.parent / "copy")
    assert "both would be written to wavs/c.wav" in error
    assert contents(dataset) == before
    assert not (dataset.parent / "copy").exists()


@pytest.mark.parametrize("task", ["--extract-mels", "--convert-to"])
@pytest.mark.parametrize("kind", ["absolute", "above"])
def test_lists_that_leave_the_data_set(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, task: str
) -> None:
    outside = add(tmp_path, "outside/a.wav", tone(9000), 22050, "PCM_24")
    row = str(outside) if kind == "absolute" else "../outside/a.wav"
    (tmp_path / "l.txt").write_text(row + "\n")
    before = contents(tmp_path)
    words = [task, *([tmp_path / "copy" / "deep"] if task == "--convert-to" else [])]
    error = refused(capsys, dataset, *words, "--wav-text-filelists", tmp_path / "l.txt")
    assert f"{row}: file lists name paths inside the data set" in error
    assert contents(tmp_path) == before, "a file was written or overwritten"


FLAGS: dict[str, tuple[list[str], str, int]] = {
    "nothing": ([], "nothing to do", 1),
    "copy and mels": (["--convert-to", "copy", "--extract-mels"], "--convert-to: only makes the copy", 1),
    "copy and lists": (["--convert-to", "copy", "--write-filelists", "l"], "--convert-to: only makes the copy", 1),
    "split without lists": (
        ["--extract-mels", "--split", "ljspeech"],
        "--split: has no effect without --write-filelists",
        1,
    ),
    "framing without mels": (["--write-filelists", "l", "--framing", "tacotron"], "--framing: has no effect", 1),
    "lists without work": (["--write-filelists", "l", "--wav-text-filelists", "m"], "--wav-text-filelists: has no", 1),
    "clips of a fixed split": (
        ["--write-filelists", "l", "--split", "ljspeech", "--validation-clips", "3"],
        "--validation-clips: a positive number, for --split own only",
        1,
    ),
    "columns": (["--write-filelists", "l", "--metadata-columns", "id,words"], "--metadata-columns: unknown 'words'", 1),
    "columns without lists": (
        ["--extract-mels", "--metadata-columns", "id,text"],
        "--metadata-columns: has no effect",
        1,
    ),
    "negative clips": (["--write-filelists", "l", "--validation-clips", "-1"], "--validation-clips", 1),
    "too many clips": (["--write-filelists", "l", "--validation-clips", "3"], "--validation-clips: 3 of 3 clips", 1),
    "workers": (["--extract-mels", "--n-workers", "0"], "--n-workers: 0", 1),
    "rate": (["--extract-mels", "--sampling-rate", "0"], "sampling_rate: 0", 1),
    "band edge": (["--extract-mels", "--mel-fmax", "20000"], "mel_fmax 20000", 1),
    "missing list": (["--extract-mels", "--wav-text-filelists", "absent.txt"], "absent.txt: no such file list", 1),
    "unknown": (["--extract-mels", "--pitch"], "--pitch", 2),
    "without effect": (["--extract-mels", "--mel-fmax-loss", "8000"], "--mel-fmax-loss", 2),
    "choice": (["--extract-mels", "--framing", "centred"], "--framing", 2),
    "number": (["--extract-mels", "--num-mels", "x"], "--num-mels", 2),
}


@pytest.mark.parametrize("kind", FLAGS)
def test_bad_flags(
    dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(dataset.parent)
    before = contents(dataset.parent)
    words, message, status = FLAGS[kind]
    assert message in refused(capsys, dataset, *words, status=status)
    assert contents(dataset.parent) == before


def test_missing_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, tmp_path / "absent", "--extract-mels")
    assert f"{tmp_path / 'absent'}: no such data set (--dataset-path)" in error
    (tmp_path / "wavs" / "folder.wav").mkdir(parents=True)
    assert f"{tmp_path / 'wavs'}: no audio files" in refused(capsys, tmp_path, "--extract-mels")
    (tmp_path / "l.txt").write_text("wavs/folder.wav\nwavs/absent.wav\n")
    error = refused(capsys, tmp_path, "--extract-mels", "--wav-text-filelists", tmp_path / "l.txt")
    assert "2 of 2 files could not be used" in error
