"""Flags of a voice's training, and the message for each impossible setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.cli import run
from voice.training.__main__ import main
from voice.training.flags import VoiceTrainingConfig


@pytest.mark.parametrize(("words", "message"), [
    ([], "-o: is required"),
    (["-o", "ann", "--vocoder-base", "nowhere.pt"], "--vocoder-base: nowhere.pt: neither a file, a model nor a publ"),
    (["-o", "ann", "--fastpitch-config", "no.json"], "--fastpitch-config: no.json: no such file"),
    (["-o", "ann", "--known-faults", "no.md"], "--known-faults: no.md: no such file"),
    (["-o", "ann", "--vocoder-epochs", "0"], "--vocoder-epochs: 0 is not above 0"),
    (["-o", "ann", "--n-workers", "-1"], "--n-workers: -1 is below 0"),
    (["-o", "ann", "--parallel", "--num-gpus", "1"], "--parallel: has no effect with --num-gpus"),
    (["-o", "ann"], "set: no such data set; one in LJSpeech layout has wavs/ and metadata.csv"),
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


def test_work_inside_the_data_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set" / "wavs").mkdir(parents=True)
    (tmp_path / "set" / "metadata.csv").touch()
    with pytest.raises(SystemExit):
        run(lambda: main([str(tmp_path / "set"), "-o", str(tmp_path / "set" / "wavs" / "ann")]), "voice.training")
    assert "--work: " in capsys.readouterr().err


def test_defaults_suit_the_device() -> None:
    cpu, gpu = VoiceTrainingConfig(output="ann"), VoiceTrainingConfig(output="ann", num_gpus=4)
    assert (cpu.batch_size, cpu.width, cpu.processes) == (4, 0.125, 1)
    assert (gpu.batch_size, gpu.width, gpu.processes) == (16, 1.0, 4)
    own = VoiceTrainingConfig(output="ann", num_gpus=4, vocoder_batch_size=8, discriminator_width=0.5)
    assert (own.batch_size, own.width) == (8, 0.5)
