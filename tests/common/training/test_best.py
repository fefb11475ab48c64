"""The best epoch of a run, when to give up, and where the best checkpoint lies."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from common.errors import InputError
from common.training.best import Best, find_best
from fastpitch import train
from tests.support.data_sets import write_speech_set
from tests.support.programs import fastpitch_arguments
from tests.support.training import finished, train_process


def after(values: list[float]) -> Best:
    best = Best()
    for epoch, value in enumerate(values, 1):
        best = best.after(epoch, "mel_loss", value)
    return best


def test_the_lowest_finite_loss_is_the_best() -> None:
    assert after([0.5, 0.4, 0.45, math.nan]) == Best(2, "mel_loss", 0.4, waited=2)
    assert after([0.5, 0.4, 0.4]) == Best(2, "mel_loss", 0.4, waited=1), "an equal loss is not better"
    assert after([0.5, 0.6, 0.4]).waited == 0
    assert after([math.nan, math.inf]) == Best(waited=2)


def test_patience() -> None:
    assert not after([0.4, 0.5, 0.5]).exhausts(3)
    assert after([0.4, 0.5, 0.5, 0.5]).exhausts(3)
    assert not after([0.4] * 100).exhausts(0), "0 waits forever"
    assert after([math.nan] * 3).exhausts(3)


def test_words() -> None:
    assert after([0.5, 0.41]).describe() == "best: epoch 2, val mel loss 0.410"
    assert (
        Best(2, "ema_mel_loss", 0.4, 3).describe(5)
        == "best: epoch 2, val ema mel loss 0.400, 3 of 5 validations without improvement"
    )
    assert after([math.nan]).describe(5) == "best: no epoch so far, the held-out losses are not finite"


def test_a_record_is_found_again(tmp_path: Path) -> None:
    best = after([0.5, 0.41])
    checkpoint = tmp_path / "gen_2.pt"
    checkpoint.touch()
    best.write(checkpoint)
    record = {"epoch": 2, "figure": "val_mel_loss", "value": 0.41, "file": "gen_2.pt"}
    assert json.loads((tmp_path / "best.json").read_text()) == record
    assert find_best(tmp_path) == (2, checkpoint)
    checkpoint.unlink()
    with pytest.raises(InputError, match=r"best\.json: names gen_2\.pt, which is missing"):
        find_best(tmp_path)


@pytest.mark.parametrize(("text", "message"), [
    (None, r"no best\.json; training writes it"),
    ("[]", r"best\.json: not written by a training run"),
    ('{"epoch": "2", "file": "a"}', r"best\.json: not written by a training run"),
])  # fmt: skip
def test_other_records_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "best.json").write_text(text)
    with pytest.raises(InputError, match=message):
        find_best(tmp_path)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech_set(tmp_path_factory.mktemp("speech") / "set", [0.5, 0.6, 0.4, 0.5])


# Held-out losses of the epochs. The third is the best, and the second is better than the fourth.
LOSSES = [0.9, 0.5, 0.4, 0.6, math.nan, 0.5, 0.3]


def arguments(data_set: Path, output: Path, **changes: object) -> list[str]:
    options = {"epochs": 7, "patience": 3, "validation_interval": 1, "checkpoint_interval": 2, "warmup_steps": 3}
    return fastpitch_arguments(data_set, output, **{**options, **changes})


def use_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train.FastPitchLoop, "held_out", lambda loop, metrics: ("mel_loss", LOSSES[loop.state.epoch]))


def contents(path: Path) -> dict[str, Any]:
    found = torch.load(path, weights_only=True)
    del found["rng"]  # seeded again for each micro-batch
    return found


@pytest.mark.medium
def test_a_run_ends_early_and_keeps_its_best_checkpoint(
    data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_losses(monkeypatch)
    argv = arguments(data_set, tmp_path)
    assert train.main(argv) == 0
    output = capsys.readouterr().out
    assert "best: epoch 3, val mel loss 0.400, 2 of 3 validations without improvement\n" in output
    assert "stopped early after epoch 6 of 7 (--patience 3)\n" in output
    assert "epoch 2 of 7 is finished, at most about " in output
    # The best one was saved though it was not due, and is older than the newest two, 4 and 6.
    assert sorted(path.name[-4] for path in tmp_path.glob("*.pt")) == ["3", "4", "6"]
    assert find_best(tmp_path) == (3, tmp_path / "FastPitch_checkpoint_3.pt")
    assert torch.load(tmp_path / "FastPitch_checkpoint_3.pt", weights_only=True)["epoch"] == 3
    assert train.main(argv) == 0
    assert "nothing to do: stopped early after epoch 6" in capsys.readouterr().out
    assert train.main([*argv, "--patience", "4"]) == 0, "more patience goes on"
    assert find_best(tmp_path)[0] == 7


@pytest.mark.medium
def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after epochs, and by a signal in the midst of epoch 5, whose validation then counts once."""
    use_losses(monkeypatch)
    whole, parts = (arguments(data_set, tmp_path / name, checkpoint_interval=1) for name in ("whole", "parts"))
    assert train.main(whole) == 0
    for _ in range(2):
        assert train.main([*parts, "--epochs-this-job", "2"]) == 0
    validate = train.FastPitchLoop.validate

    def interrupted(loop: train.FastPitchLoop) -> dict[str, float] | None:
        os.kill(os.getpid(), signal.SIGTERM)  # too late for this validation, so that it is made again
        return validate(loop)

    monkeypatch.setattr(train.FastPitchLoop, "validate", interrupted)
    assert train.main(parts) == 128 + signal.SIGTERM
    monkeypatch.setattr(train.FastPitchLoop, "validate", validate)
    assert train.main(parts) == 0
    names = sorted(path.name for path in (tmp_path / "whole").glob("*.pt"))
    assert names == [f"FastPitch_checkpoint_{epoch}.pt" for epoch in (3, 5, 6)]
    assert sorted(path.name for path in (tmp_path / "parts").glob("*.pt")) == names
    for name in names:
        one, other = (contents(tmp_path / run / name) for run in ("whole", "parts"))
        assert str(one) == str(other)
        assert all(torch.equal(one["state_dict"][key], value) for key, value in other["state_dict"].items())
    assert (tmp_path / "whole" / "best.json").read_text() == (tmp_path / "parts" / "best.json").read_text()


@pytest.mark.medium
def test_the_end_of_a_job_is_not_a_validation_of_the_run(data_set: Path, tmp_path: Path) -> None:
    argv = arguments(data_set, tmp_path, validation_interval=2)
    assert train.main([*argv, "--epochs-this-job", "1"]) == 0
    assert contents(tmp_path / "FastPitch_checkpoint_1.pt")["best"] == Best().to_dict()
    assert not (tmp_path / "best.json").exists()


@pytest.mark.medium
def test_a_run_killed_before_it_recorded_the_best_epoch_does_so_when_resumed(data_set: Path, tmp_path: Path) -> None:
    argv = arguments(data_set, tmp_path, epochs=2)
    assert train.main(argv) == 0
    record = (tmp_path / "best.json").read_text()
    (tmp_path / "best.json").write_text("{}")
    assert train.main(argv) == 0
    assert (tmp_path / "best.json").read_text() == record


@pytest.mark.slow
def test_processes_end_together(data_set: Path, tmp_path: Path) -> None:
    """With a learning rate of nothing, all losses are equal, and none improves the first."""
    argv = arguments(data_set, tmp_path, patience=2, learning_rate=1e-30)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "fastpitch.train", *argv]
    status, stdout, stderr = finished(train_process(*command))
    assert status == 0, stderr
    assert stdout.count("stopped early after epoch 3 of 7") == 1
    assert find_best(tmp_path)[0] == 1
