"""Curves are read as they were logged, and drawn to a picture."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from common import plot_log
from common.errors import InputError
from tests.support.paths import REPOSITORY


def write_log(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"DLLL {json.dumps({'step': step, 'data': data})}\n" for step, data in records))
    return path


@pytest.fixture
def log(tmp_path):
    steps = [
        ([epoch, step, 4], {"train_mel_loss": 80 - epoch - step, "train_frames/s": 30.0})
        for epoch in (1, 2)
        for step in (1, 2, 3, 4)
    ]
    val = [([0], {"val_mel_loss": 90.0}), ([2], {"val_mel_loss": 60.0})]
    return write_log(tmp_path / "run" / "nvlog.json", [("PARAMETER", {"seed": 1}), val[0], *steps, val[1]])


def test_curves_lie_over_the_epoch(log):
    curves = plot_log.read_curves(log)
    assert curves["val_mel_loss"] == ([0, 2], [90.0, 60.0])
    assert curves["train_mel_loss"][0] == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
    assert curves["train_mel_loss"][1][:5] == [78, 77, 76, 75, 77]
    assert "seed" not in curves


def test_a_step_that_was_logged_again_counts_once(tmp_path):
    records = [
        ([1, 1, 2], {"train_mel_loss": 9.0}),
        ([1, 2, 2], {"train_mel_loss": 8.0}),
        ([1, 2, 2], {"train_mel_loss": 7.0}),
    ]
    assert plot_log.read_curves(write_log(tmp_path / "nvlog.json", records))["train_mel_loss"] == (
        [0.5, 1.0],
        [9.0, 7.0],
    )


def test_smoothing_is_the_mean_of_the_last_values():
    values = np.random.default_rng(0).random(30)
    expected = [values[max(0, i - 6) : i + 1].mean() for i in range(30)]
    np.testing.assert_allclose(plot_log.smoothed(values, 7), expected)
    np.testing.assert_allclose(plot_log.smoothed(values, 1), values)


@pytest.mark.medium
def test_picture(log, tmp_path):
    one, two = tmp_path / "one.png", tmp_path / "new" / "two.png"
    assert plot_log.main([str(log), "-o", str(one)]) == 0
    other = write_log(tmp_path / "other" / "nvlog.json", [([1], {"val_mel_loss": 70.0}), ([2], {"val_mel_loss": 50.0})])
    assert plot_log.main([str(log.parent), str(other), "-o", str(two), "--labels", "a", "b"]) == 0
    pictures = [imread(path) for path in (one, two)]
    assert len({picture.shape for picture in pictures}) == 1
    assert not np.array_equal(*pictures)  # the second run is to be seen
    short = tmp_path / "short.png"
    assert plot_log.main([str(other), "-o", str(short)]) == 0
    assert imread(short).shape[0] < pictures[0].shape[0]  # without the panels that it has no curves for
    assert pictures[0][..., :3].std() > 0.05


@pytest.mark.parametrize(
    ("content", "words"), [("no log\n", "not one of its 1 lines is a DLLogger line"), ("", "no training steps yet")]
)
def test_files_that_are_no_logs(content, words, tmp_path):
    path = tmp_path / "nvlog.json"
    path.write_text(content)
    with pytest.raises(InputError, match=words):
        plot_log.main([str(path)])
    with pytest.raises(FileNotFoundError, match="no such log"):
        plot_log.main([str(tmp_path / "nowhere.json")])


def test_torn_lines_are_skipped(log, caplog):
    """A killed run ends anywhere in a line. A machine that loses power may leave zeros."""
    whole = log.read_text()
    curves = plot_log.read_curves(log)
    last = whole.splitlines()[-1]
    for torn in (last[:1], last[:40], last[:-1], "\0\0\0"):
        log.write_text(f"{whole}{torn}\n{last}\n")
        caplog.clear()
        assert plot_log.read_curves(log) == curves
        assert f"nvlog.json: skipped, not a DLLogger line: line {len(whole.splitlines()) + 1}\n" in caplog.text
    log.write_bytes(whole.encode() + b"\xff\xc3")
    assert plot_log.read_curves(log) == curves


def test_labels_must_fit(log):
    with pytest.raises(InputError, match="2 names for 1 logs"):
        plot_log.main([str(log), "--labels", "a", "b"])


def test_steps_without_a_loss_leave_the_curve_whole():
    found = plot_log.smoothed([1.0, float("nan"), 3.0, float("nan"), float("nan")], 2)
    np.testing.assert_allclose(found, [1, 1, 3, 3, np.nan])


def test_runs_of_equal_names_are_told_apart(log, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plot_log, "draw", lambda runs, output, window: drawn.extend(label for label, _ in runs))
    for name in ("a", "b"):
        (tmp_path / name / "output").mkdir(parents=True)
        (tmp_path / name / "output" / "nvlog.json").write_text(log.read_text())
    assert plot_log.main([str(tmp_path / name / "output") for name in ("a", "b")]) == 0
    assert drawn == [str(tmp_path / name / "output") for name in ("a", "b")]


@pytest.mark.medium
def test_the_backend_of_a_notebook(tmp_path):
    """Jupyter sets MPLBACKEND for all programs it starts, and other environments lack its package."""
    log = tmp_path / "run" / "nvlog.json"
    log.parent.mkdir()
    log.write_text('DLLL {"type": "LOG", "step": [1], "data": {"val_mel_loss": 9.7}}\n')
    done = subprocess.run(
        [sys.executable, "-m", "common.plot_log", log, "-o", tmp_path / "curves.png"],
        cwd=REPOSITORY,
        env={**os.environ, "MPLBACKEND": "module://no_such_package.backend_inline"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'curves.png'}: curves of run\n"
    assert imread(tmp_path / "curves.png").ndim == 3
