"""A data file that is replaced in mid-run is named, the state is saved, and training goes on once it is back."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.stress.training.nursery import Nursery
from tests.stress.training.runs import Run, check_equal
from tests.support.stress import cases, record

pytestmark = [pytest.mark.slow, pytest.mark.alone]

KINDS = (
    "other content", "removed", "garbage", "longer", "shorter than a segment", "empty", "half", "another rate",
    "a text", "garbage of the same size", "silence",
)  # fmt: skip


def write_replacement(kind: str, path: Path, whole: Path) -> None:
    wav, rate = soundfile.read(whole)
    content = whole.read_bytes()
    if kind in ("other content", "longer", "shorter than a segment", "silence", "another rate"):
        samples = {"longer": 3 * len(wav), "shorter than a segment": 100}.get(kind, len(wav))
        other = np.resize(0 * wav if kind == "silence" else wav[::-1], samples)
        soundfile.write(path, other, 16000 if kind == "another rate" else rate)
    elif kind == "half":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "a text":
        path.write_text("not audio\n")
    else:
        path.write_bytes(bytes(range(256)) * (0 if kind == "empty" else len(content) // 256))


passed = itertools.count(1)  # cases, for the record


@pytest.mark.parametrize(("listed", "number"), [("training", 0), ("validation", 3)][: cases(1, 2)])
@pytest.mark.parametrize("kind", KINDS[: cases(1, 11)])
def test_a_replaced_file(
    nursery: Nursery,
    data_set: Path,
    tmp_path: Path,
    undisturbed: Callable[..., Path],
    kind: str,
    listed: str,
    number: int,
) -> None:
    own = Path(shutil.copytree(data_set, tmp_path / "set"))
    wav, saved, replacement = own / f"wavs/clip{number:03d}.wav", tmp_path / "saved.wav", tmp_path / "replacement.wav"
    shutil.copy2(wav, saved)
    write_replacement(kind, replacement, wav)
    run = Run(nursery, own, tmp_path / "out")
    error = run.disturbed(
        "replaced_file", source="" if kind == "removed" else replacement, target=wav, status=1, lines=1
    )
    assert f"clip{number:03d}.wav" in error
    if kind != "removed":
        assert "changed since this run started" in error
    assert "saved " in run.text().splitlines()[-2]
    shutil.copy2(saved, wav)  # as it was
    run.finish()
    check_equal(undisturbed(), run.output)
    record("a data file is replaced in mid-run", next(passed), "named, saved; then equal bit for bit")
