"""Flags of a voice's training, and the message for each impossible setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.cli import run
from voice.training.__main__ import main


@pytest.mark.parametrize(("words", "message"), [
    ([], "-o: is required"),
    (["-o", "ann", "--vocoder-base", "nowhere.pt"], "--vocoder-base: nowhere.pt: neither a file, a model nor a publ"),
    (["-o", "ann", "--fastpitch-config", "no.json"], "--fastpitch-config: no.json: no such file"),
    (["-o", "ann", "--known-faults", "no.md"], "--known-faults: no.md: no such file"),
    (["-o", "ann", "--vocoder-epochs", "-2"], "--vocoder-epochs: -2 is below 0"),
    (["-o", "ann", "--fastpitch-epochs", "0"], "--fastpitch-epochs: 0 is not above 0"),
    (["-o", "ann", "--fine-tuning-epochs", "-2"], "--fine-tuning-epochs: -2 is below 0"),
    (["-o", "ann", "--base", "nobody"], "nobody: no such voice or folder"),
    (["-o", "ann", "--fastpitch-base", "no.pt"], "--fastpitch-base: no.pt: neither a file nor a model"),
    (["-o", "ann", "--vocoder-base", "scratch"], "--vocoder-base scratch: fine-tuning needs a trained vocoder"),
    (["-o", "ann", "--parallel"], "--parallel: has no effect without --vocoder-epochs"),
    (
        ["-o", "ann", "--base", "x", "--vocoder-base", "hifigan-lj-v2", "--fastpitch-base", "scratch"],
        "--base: has no effect with both --vocoder-base and --fastpitch-base",
    ),
    (["-o", "ann", "--n-workers", "-1"], "--n-workers: -1 is below 0"),
    (["-o", "ann", "--parallel", "--num-gpus", "1"], "--parallel: has no effect with --num-gpus"),
    (["-o", "ann"], "set: no such folder"),
])  # fmt: skip
def test_impossible_settings(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(SystemExit) as stopped:
        run(lambda: main(["set", *words]), "voice.training")
    error = capsys.readouterr().err.strip()
    assert stopped.value.code == 1
    assert len(error.splitlines()) == 1
    assert message in error


@pytest.mark.parametrize(
    ("flag", "words"),
    [("-o", ["-o", "set/wavs/ann"]), ("-o", ["-o", "set"]), ("--work", ["-o", "ann", "--work", "set"])],
)
def test_nothing_is_written_into_the_recordings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flag: str, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set" / "wavs").mkdir(parents=True)
    with pytest.raises(SystemExit):
        run(lambda: main(["set", *words]), "voice.training")
    assert f"error: {flag}: " in capsys.readouterr().err
