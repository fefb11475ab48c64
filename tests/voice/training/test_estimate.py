"""Time and disk of a training, from a trial's log."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.errors import InputError
from tests.support.models import make_checkpoint
from voice.training.commands import VoicePaths
from voice.training.estimate import Estimate, Measured, check_disk, read_trial, training_sec
from voice.training.flags import VoiceTrainingConfig

CLIPS = {"train": 1376, "val": 35, "test": 129}
HOURS = {"train": 1.5, "val": 0.04, "test": 0.14}
FOUND = Estimate(CLIPS, HOURS, 100.0, 70.0, Measured(1.5, 30.0, 28_000_000), Measured(2.0, 10.0, 49_000_000), False)


@pytest.fixture
def cfg(tmp_path: Path) -> VoiceTrainingConfig:
    make_checkpoint(tmp_path / "base.pt")
    return VoiceTrainingConfig(
        output=str(tmp_path / "voice"),
        vocoder_base=str(tmp_path / "base.pt"),
        fastpitch_epochs=80,
        fastpitch_batch_size=16,
        fastpitch_learning_rate=0.02,
        vocoder_epochs=40,
        vocoder_batch_size=4,
        fine_tuning_epochs=10,
        fine_tuning_learning_rate=1e-4,
        patience=8,
    )


def line(second: float, step: list[int], **data: float) -> str:
    return "DLLL " + json.dumps({"timestamp": str(1000 + second), "step": step, "data": data})


def test_trial(tmp_path: Path) -> None:
    """The first two steps are slower, and not counted. Only the validation after the epoch counts."""
    lines = [line(0, [], seed=1), line(9, [0], val_mel_loss=9.0)]
    lines += [line(i, [1, i, 4], train_took=took) for i, took in enumerate([8.0, 5.0, 2.0, 3.0], 1)]
    lines += [line(30, [1], avg_train_took=18.0), line(34.5, [1], val_mel_loss=8.0)]
    (tmp_path / "nvlog.json").write_text("\n".join(lines) + "\n")
    for name, size in (("gen_1.pt", 300), ("discrim_1.pt", 200)):
        (tmp_path / name).write_bytes(b"0" * size)
    assert read_trial(tmp_path) == Measured(2.5, 4.5, 500)
    (tmp_path / "nvlog.json").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(InputError, match="no complete log"):
        read_trial(tmp_path)


def test_time_of_the_trainings(cfg: VoiceTrainingConfig) -> None:
    """By hand: 1376 clips are 344 steps of 4, and 86 steps of 16. The vocoder validates every second epoch.

    Fine-tuning has two pairs for each clip, and validates every epoch.
    """
    assert FOUND.steps_per_epoch(cfg) == {"fastpitch": 86, "vocoder": 344, "fine-tuning": 688}
    vocoder, fastpitch, tuning = 40 * (344 * 1.5 + 15), 80 * (86 * 2.0 + 2), 10 * (688 * 1.5 + 60)
    expected = {"pitch": 100.0, "fastpitch": fastpitch, "vocoder": vocoder, "mels": 70.0, "fine-tuning": tuning}
    assert FOUND.seconds(cfg) == pytest.approx(expected)
    assert FOUND.total_sec(cfg) == pytest.approx(170 + vocoder + fastpitch + tuning)
    assert dataclasses.replace(FOUND, parallel=True).total_sec(cfg) == pytest.approx(170 + vocoder + tuning)
    untuned = dataclasses.replace(cfg, fine_tuning_epochs=0)
    assert FOUND.total_sec(untuned) == pytest.approx(100 + vocoder + fastpitch)
    two = dataclasses.replace(cfg, num_gpus=2, vocoder_batch_size=16)
    assert FOUND.steps_per_epoch(two) == {"fastpitch": 1376 // 32, "vocoder": 1376 // 32, "fine-tuning": 86}


def test_disk(cfg: VoiceTrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four checkpoints of each model, five sets of wav files of the test part, pitch (4 bytes a frame), and logs.

    Fine-tuning adds checkpoints of a vocoder, and for each clip two wavs and three mels (80 floats a frame).
    """
    untuned = dataclasses.replace(cfg, fine_tuning_epochs=0)
    wavs = 0.14 * 3600 * 22050 * 2 * 5
    pitch = 1.68 * 3600 * 22050 / 256 * 4
    assert FOUND.disk_bytes(untuned) == pytest.approx(4 * 77e6 + wavs + pitch + 20e6)
    learned = (FOUND.hours["train"] + FOUND.hours["val"]) * 3600 * 22050
    pairs = 2 * learned * 2 + 3 * learned / 256 * 80 * 4
    vocoder = 4 * FOUND.vocoder.checkpoint_bytes
    assert FOUND.disk_bytes(cfg) == pytest.approx(FOUND.disk_bytes(untuned) + pairs + vocoder)
    tuned_only = dataclasses.replace(cfg, vocoder_epochs=0)
    assert FOUND.disk_bytes(tuned_only) == pytest.approx(FOUND.disk_bytes(untuned) + pairs)
    paths = VoicePaths.find("set", cfg)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=FOUND.disk_bytes(untuned) + 1))
    check_disk(FOUND, untuned, paths)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=FOUND.disk_bytes(untuned) - 1))
    with pytest.raises(InputError, match=r"voice-training: the training needs 0\.44 GB of disk, but 0\.44 GB are free"):
        check_disk(FOUND, untuned, paths)


def test_words(cfg: VoiceTrainingConfig, tmp_path: Path) -> None:
    paths = VoicePaths.find("set", cfg)
    paths.work.mkdir()
    lines = FOUND.lines(cfg, paths)
    assert lines[0] == "data set   1540 clips, 1.68 hours (train 1376, val 35, test 129)"
    assert lines[2] == (
        "FastPitch  at most 3 h 52 min: 80 epochs of 86 steps of 2.00 s, measured here; from kathleen, batch size 16, "
        "learning rate 0.02"
    )
    assert lines[3].startswith("vocoder    at most 5 h 54 min: 40 epochs of 344 steps of 1.50 s, measured here; from ")
    assert lines[3].endswith("base.pt, batch size 4, learning rate 0.0003")
    assert lines[4] == (
        "tuning     at most 3 h 03 min: the vocoder on recordings and on FastPitch's mels, 10 epochs of 688 steps of "
        "1.50 s; learning rate 0.0001"
    )
    assert lines[5] == (
        "together   at most 12 h 51 min, one after the other, ends after 8 validations without improvement; "
        "then the evaluation"
    )
    assert lines[6].startswith(f"disk       1.50 GB in {paths.work} (")
    assert "at the same time" in dataclasses.replace(FOUND, parallel=True).lines(cfg, paths)[5]
    first = FOUND.lines(dataclasses.replace(cfg, fine_tuning_epochs=0, patience=0), paths)
    assert [line.split()[0] for line in first[2:5]] == ["FastPitch", "vocoder", "together"]
    assert not [line for line in first if "at most" in line or "improvement" in line]
    second = FOUND.lines(dataclasses.replace(cfg, vocoder_epochs=0), paths)
    assert [line.split()[0] for line in second[2:5]] == ["FastPitch", "tuning", "together"]
    assert "base.pt, batch size 4, learning rate 0.0001" in second[3]


def test_saved_and_loaded(tmp_path: Path) -> None:
    FOUND.save(tmp_path / "estimate.json")
    assert Estimate.load(tmp_path / "estimate.json") == FOUND


def test_time_that_was_spent(tmp_path: Path) -> None:
    """Each line stands for the steps since the line before it. A killed epoch starts again."""
    log = tmp_path / "nvlog.json"
    lines = [line(0, [1, 20, 50], train_took=1.0), line(0, [1, 40, 50], train_took=2.0)]
    lines += [line(0, [1, 50, 50], train_took=3.0), line(0, [1], avg_train_took=90.0)]
    lines += [line(0, [2, 20, 50], train_took=1.0), line(0, [2, 20, 50], train_took=1.0)]
    log.write_text("\n".join(lines) + "\n")
    assert training_sec(log) == 20 * 1 + 20 * 2 + 10 * 3 + 20 + 20
