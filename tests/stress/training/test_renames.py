"""A network file system whose renames fail, happen but report an error, or leave strange files."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stress.training.runs import Run, check_equal
from tests.support.stress import cases, record

pytestmark = [pytest.mark.slow, pytest.mark.alone]

ERRORS = {"EIO": errno.EIO, "ESTALE": errno.ESTALE, "EXDEV": errno.EXDEV, "ENOENT": errno.ENOENT}
FILES = (
    r"hifigan_gen_checkpoint_2\.pt$",
    r"hifigan_discrim_checkpoint_2\.pt$",
    r"best\.json$",
    r"gen_checkpoint_1\.pt$",
)
CASES = [
    (file, name, done) for done in (False, True) for name in ("ESTALE", "EIO", "EXDEV", "ENOENT") for file in FILES
]
passed = itertools.count(1)  # cases, for the record


@pytest.mark.parametrize(("file", "name", "is_done"), [CASES[16], *CASES][: cases(1, 33)])
def test_a_rename_fails(run: Run, undisturbed: Callable[..., Path], file: str, name: str, is_done: bool) -> None:
    """One that happened although it reports an error is accepted. Another ends the run, and the next continues."""
    error = run.disturbed("failing_rename", match=file, number=ERRORS[name], is_done=is_done, status=int(not is_done))
    if is_done:
        assert not error
    else:
        assert "checkpoint could not be written (" in error or "best.json" in error
    for stale in (".nfs000000000123abc", ".hifigan_gen_checkpoint_1.pt.tmp", ".hifigan_discrim_checkpoint_9.pt.tmp"):
        (run.output / stale).write_bytes(b"left")
    run.finish()
    assert [path.name for path in run.output.glob(".*")] == [".nfs000000000123abc"]  # not ours
    (run.output / ".nfs000000000123abc").unlink()
    check_equal(undisturbed(), run.output)
    record("renames fail, or happen and report an error", next(passed), "equal bit for bit")
