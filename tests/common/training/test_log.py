"""DLLogger lines, the line on stdout, and TensorBoard."""

from __future__ import annotations

import datetime
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.training.log import RunLog
from tests.support.programs import log_records

METRICS = {
    "d_loss": 7.966,
    "g_loss": 95.839,
    "mel_loss": 87.291,
    "frames/s": 3092.31,
    "took": 13.25,
    "lrate_gen": 3e-4,
    "lrate_discrim": 3e-4,
}
LINE = (
    "epoch    1 | iter   1/24 | d loss  7.966 | g loss 95.839 | mel loss 87.291 |  3092.31 frames/s | took 13.25 s | "
    "g lr 3.00e-04 | d lr 3.00e-04"
)


@pytest.fixture(autouse=True)
def _own_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dllogger", None)  # as where NVIDIA's library is not installed


def scalars(folder: Path) -> dict[str, tuple[int, float]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: (events.Scalars(tag)[0].step, events.Scalars(tag)[0].value) for tag in events.Tags()["scalars"]}


def test_training_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLog(tmp_path) as log:
        log.train(1, 1, 24, 1, METRICS)
    stamp, _, rest = capsys.readouterr().out.partition(" - ")
    assert rest == LINE + "\n"
    assert re.fullmatch(r"DLL \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", stamp)


def test_json_lines(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.parameters({"seed": 1234})
        log.train(2, 3, 24, 27, METRICS)
        log.epoch(2, 48, {"frames/s": 3000.0})
        log.val(2, 48, {"mel_loss": 0.25})
    found = log_records(tmp_path / "nvlog.json")
    assert [record["step"] for record in found] == ["PARAMETER", [2, 3, 24], [2], [2]]
    assert found[0]["data"] == {"seed": 1234}
    assert found[1]["data"] == {f"train_{name}": value for name, value in METRICS.items()}
    assert found[2]["data"] == {"avg_train_frames/s": 3000.0}
    assert found[3]["data"] == {"val_mel_loss": 0.25}
    for record in found:
        assert record.keys() == {"timestamp", "datetime", "elapsedtime", "type", "step", "data"}
        assert record["type"] == "LOG"
        stamp = datetime.datetime.fromtimestamp(float(record["timestamp"]))
        assert abs(stamp - datetime.datetime.fromisoformat(record["datetime"])).total_seconds() < 1e-3
        assert 0 <= float(record["elapsedtime"]) < 60


def test_lines_are_on_disk_at_once_and_appended(tmp_path: Path) -> None:
    for _ in range(2):
        with RunLog(tmp_path, str(tmp_path / "logs" / "own.json")) as log:
            log.train(1, 1, 24, 1, METRICS)
            on_disk = len(log_records(tmp_path / "logs" / "own.json"))
    assert on_disk == 2
    assert not (tmp_path / "nvlog.json").exists()


@pytest.mark.parametrize("left", ["DLLL {", 'DLLL {"step": [1], "data": {}}'])
def test_a_torn_last_line_stays_alone(left: str, tmp_path: Path) -> None:
    path = tmp_path / "nvlog.json"
    with RunLog(tmp_path) as log:
        log.train(1, 1, 24, 1, METRICS)
    whole = path.read_text()
    path.write_text(whole + left)
    with RunLog(tmp_path) as log:
        log.train(1, 2, 24, 2, METRICS)
    content = path.read_text()
    assert content.startswith(whole + left + "\n")
    assert content.count("\n") == 3
    assert json.loads(content.splitlines()[2].removeprefix("DLLL "))["step"] == [1, 2, 24]


def test_nothing_is_added_to_whole_lines(tmp_path: Path) -> None:
    for _ in range(2):
        with RunLog(tmp_path) as log:
            log.parameters({})
    assert "\n\n" not in (tmp_path / "nvlog.json").read_text()


def test_tensorboard(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(np.arange(4096) * 0.1)
    mel = np.full((80, 16), np.log(1e-5))
    mel[:10] = 5.0  # louder than the scale, at low frequencies
    with RunLog(tmp_path) as log:
        log.train(1, 2, 24, 26, {"mel_loss": 0.5})
        log.val(1, 48, {"mel_loss": 0.25})
        log.epoch(1, 48, {"mel_loss": 0.75})
        log.sample("clip", 48, tone, 22050, mel)
    assert scalars(tmp_path / "train") == {"mel_loss": (26, 0.5)}
    assert scalars(tmp_path / "val") == {"mel_loss": (48, 0.25)}
    events = EventAccumulator(str(tmp_path / "test"))
    events.Reload()
    assert [event.step for event in events.Audio("audio/clip")] == [48]
    image = events.Images("spectrogram/clip")[0]
    assert (image.width, image.height) == (16, 80)
    from io import BytesIO

    from PIL import Image

    pixels = np.asarray(Image.open(BytesIO(image.encoded_image_string)).convert("L"))
    assert pixels[:70].max() == 0
    assert pixels[70:].min() == 255, "low frequencies belong at the bottom"


def test_other_processes_are_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLog(tmp_path / "out", enabled=False) as log:
        log.parameters({})
        log.train(1, 1, 1, 1, METRICS)
        log.epoch(1, 1, METRICS)
        log.val(1, 1, METRICS)
        log.message("text")
        log.sample("clip", 1, np.zeros(1), 22050, np.zeros((80, 1)))
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "out").exists()


def test_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLog(tmp_path) as log:
        log.message("saved")
    assert capsys.readouterr().out.endswith(" - saved\n")


def test_a_loss_without_an_entry_is_shown_after_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLog(tmp_path) as log:
        log.train(1, 1, 24, 1, {"stft_loss": 1.5, **METRICS})
    assert "| mel loss 87.291 | stft loss  1.500 |  3092.31 frames/s |" in capsys.readouterr().out


def test_what_cannot_be_written_is_named_once_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """tests/stress/training fills the disk of whole runs."""
    with RunLog(tmp_path) as log:
        log.train(1, 1, 24, 1, METRICS)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(log._json, "flush", full)
        monkeypatch.setattr(log._boards["train"], "add_scalar", full)
        for step in (2, 3):
            log.train(1, step, 24, step, METRICS)
        monkeypatch.undo()
        log.train(1, 4, 24, 4, METRICS)
        log.val(1, 4, METRICS)
    assert [message.split(": ")[0] for message in caplog.messages] == [
        f"{tmp_path / 'nvlog.json'}",
        f"{tmp_path / 'train'} (TensorBoard)",
    ]
    assert len(log_records(tmp_path / "nvlog.json")) == 5  # what waited has been written
    assert scalars(tmp_path / "val")["mel_loss"][0] == 4
