"""Flags, phrase files, and output folders that `inference.py` refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.inference import command, refused


def test_phrases_without_mels(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.txt").write_text("Some text.\n")
    error = refused(command(checkpoint, tmp_path / "p.txt", tmp_path / "out"), capsys)
    assert f"{tmp_path / 'p.txt'}: audio_1.wav has no mel" in error


def test_output_names_stay_inside(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.tsv").write_text("mel\toutput\nmels/a.pt\tok\nmels/a.pt\t../../x.wav\n")
    error = refused(command(checkpoint, tmp_path / "p.tsv", tmp_path / "o" / "p", "-d", dataset), capsys)
    assert "p.tsv: line 3: output name '../../x.wav'" in error
    assert not list(tmp_path.rglob("*.wav"))


FLAGS: dict[str, tuple[list[str], str, int]] = {
    "batch size": (["--batch-size", "0"], "--batch-size: 0", 1),
    "repeats": (["--repeats", "0"], "--repeats: 0", 1),
    "strength": (["--denoising-strength", "-1"], "--denoising-strength: -1.0", 1),
    "no number": (["--denoising-strength", "nan"], "--denoising-strength: nan", 1),
    "endless": (["--denoising-strength", "inf"], "--denoising-strength: is infinite; 0.005 to 0.1 is usual", 1),
    "fade": (["--fade-out", "-1"], "--fade-out: -1", 1),
    "warm-up": (["--warmup-steps", "-1"], "--warmup-steps: -1", 1),
    "unknown": (["--fastpitchy", "x"], "--fastpitchy", 2),
    "text": (["--repeats", "x"], "--repeats", 2),
    "input": (["-i", ""], "-i: is required", 1),
    "absent input": (["-i", "absent.tsv"], "absent.tsv: no such phrase file (-i)", 1),
    "absent audio": (["-i", "absent.wav"], "absent.wav: no such file or folder (-i)", 1),
    "absent configuration": (["--hifigan-config", "absent.json"], "absent.json: no such configuration file", 1),
    "log": (["--log-file", "/"], "'/'", 1),
    "published flag": (["-d", "0.005"], "-d: 0.005 is not a data set; the denoiser's strength is --denoising-stre", 1),
}


@pytest.mark.parametrize("kind", FLAGS)
def test_bad_flags(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    more, message, status = FLAGS[kind]
    argv = command(checkpoint, dataset / "phrases.tsv", tmp_path / "out", "-d", dataset, *more)
    assert message in refused(argv, capsys, status)


def test_output_that_is_a_file(
    checkpoint: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("mine")
    argv = command(checkpoint, dataset / "phrases.tsv", tmp_path / "out", "-d", dataset)
    assert str(tmp_path / "out") in refused(argv, capsys)
    assert (tmp_path / "out").read_text() == "mine"


def test_cuda_without_a_gpu(
    checkpoint: Path,
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    argv = command(checkpoint, dataset / "phrases.tsv", tmp_path / "out", "--cuda")
    assert "--cuda: PyTorch finds no GPU" in refused(argv, capsys)
