"""A disk that is full, or cannot be written, at any write of a run: only the steps since the last save are lost."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.training.checkpoint_store import CheckpointStore
from hifigan.training.state import CHECKPOINT_FILES
from tests.stress.training.nursery import Nursery
from tests.stress.training.runs import Run, check_equal
from tests.support.stress import FULL, cases, record

pytestmark = [pytest.mark.slow, pytest.mark.alone]

PAIR = ("hifigan_gen_checkpoint_", "hifigan_discrim_checkpoint_")
RESUMED = "start again to resume from the newest whole one"


@pytest.fixture(scope="session")
def sizes(undisturbed: Callable[..., Path]) -> dict[str, int]:
    """Bytes of the files of the last two saves. The first save is as large as the second, but for a few bytes."""
    return {f"{name}{epoch}": (undisturbed() / f"{name}{epoch}.pt").stat().st_size for name in PAIR for epoch in (2, 3)}


def offsets(sizes: dict[str, int]) -> list[tuple[str, int, int]]:
    """Return name, room in bytes and number of the save: every class of place in both files, then random ones."""
    rng = random.Random(0)
    classes = [
        (f"{name}{epoch}", room, epoch)
        for name in PAIR
        for epoch in (2, 1, 3)
        for room in (0, 1, sizes[f"{name}2"] // 2, *([sizes[f"{name}{epoch}"] - 1] if epoch > 1 else []))
    ]
    rng.shuffle(classes)
    drawn = [
        (name, rng.randrange(sizes[f"{name}2"] - 1000), rng.choice((1, 2, 3))) for name in rng.choices(PAIR, k=100)
    ]
    return classes + [(f"{name}{epoch}", room, epoch) for name, room, epoch in drawn]


def test_full_at_any_byte_of_a_save(
    nursery: Nursery,
    data_set: Path,
    tmp_path: Path,
    undisturbed: Callable[..., Path],
    sizes: dict[str, int],
) -> None:
    places = offsets(sizes)[: cases(1, 100)]
    for i, (name, room, epoch) in enumerate(places):
        run = Run(nursery, data_set, tmp_path / str(i))
        error = run.disturbed("full_disk", match=rf"\.{name}\.pt\.tmp$", after=room)
        assert re.fullmatch(
            rf"train\.py: error: .*\.{name}\.pt\.tmp: the checkpoint could not be written "
            rf"\(No space left on device, \d+ MB are free\); when it can be, {RESUMED}",
            error,
        )
        assert CheckpointStore(run.output, CHECKPOINT_FILES).epochs() == [1, 2][: epoch - 1]
        assert not list(run.output.glob(".*"))
        run.finish()
        check_equal(undisturbed(), run.output)
        shutil.rmtree(run.output)
    record("training resumes after a full disk at any byte of a save", len(places), "equal bit for bit, one line each")


@pytest.mark.parametrize("call", range(1, cases(1, 10)))
def test_the_disk_fails_while_a_save_waits_for_it(run: Run, undisturbed: Callable[..., Path], call: int) -> None:
    """The first three waits of a save are for two files and the folder."""
    error = run.disturbed("failing_fsync", call=call, number=5)
    assert "the checkpoint could not be written (Input/output error, " in error
    run.finish()
    check_equal(undisturbed(), run.output)


# Name of the file and whether its loss ends the run. A log is less important than the run.
OTHERS = {
    "best.json": (r"\.best\.json\.", True),
    "nvlog.json": (r"nvlog\.json$", False),
    "TensorBoard": (r"/train/events\.", False),
}


@pytest.mark.parametrize("name", list(OTHERS)[:: cases(2, 1)])
@pytest.mark.parametrize("room", [0, 1000] if FULL else [700])
def test_full_at_other_files(run: Run, undisturbed: Callable[..., Path], name: str, room: int) -> None:
    match, ends = OTHERS[name]
    if name == "best.json":
        room = min(room, 10)
    at_start = room == 0 and name.startswith("TensorBoard")
    error = run.disturbed("full_disk", match=match, after=room, status=int(ends or at_start))
    assert "No space left on device" in error
    if not (ends or at_start):
        assert re.search(
            r"cannot be written \(No space left on device\); training goes on, and its log has a gap", error
        )
        check_equal(undisturbed(), run.output, logs=name != "nvlog.json")
    run.finish()
    check_equal(undisturbed(), run.output, logs=name != "nvlog.json")


def test_standard_output_ends(run: Run, undisturbed: Callable[..., Path]) -> None:
    """As when `| tee log` or a terminal has ended. The status is 0."""
    run.start("closed_stdout", step=2)
    assert run.wait() == 0
    assert run.text().count("standard output: cannot be written (Broken pipe); training goes on") == 1
    check_equal(undisturbed(), run.output)


@pytest.mark.skipif(not FULL, reason="in full only, to save time")
def test_files_are_limited(run: Run, undisturbed: Callable[..., Path], sizes: dict[str, int]) -> None:
    """By `ulimit -f`, which fails like a full disk, but in all files of the process."""
    error = run.disturbed("limited_files", bytes_=sizes["hifigan_discrim_checkpoint_3"] - 1)
    assert "the checkpoint could not be written (File too large, " in error
    run.finish()
    check_equal(undisturbed(), run.output)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system in memory with these options, or change its options."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    is_mounted = False

    def mount(options: str) -> Path:
        nonlocal is_mounted
        again = ["-o", f"remount,{options}"] if is_mounted else ["-o", options]
        done = subprocess.run(["mount", "-t", "tmpfs", *again, "tmpfs", folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting needs root: {done.stderr.strip()}")
        is_mounted = True
        return folder

    yield mount
    if is_mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("share", [0.4, 0.99, 1.5, 2.2, 3.01][: cases(0, 5)])
def test_a_small_disk(
    nursery: Nursery,
    data_set: Path,
    mounted: Callable[[str], Path],
    undisturbed: Callable[..., Path],
    sizes: dict[str, int],
    share: float,
) -> None:
    """A real one, with room for less than one pair up to three: two pairs and a part of the third are there at once."""
    whole = sum(sizes.values()) // 2
    run = Run(nursery, data_set, mounted(f"size={int(share * whole) // 4096 * 4096}") / "out")
    error = run.disturbed("nothing", lines=None, status=None)
    assert "No space left on device" in error or share > 3
    mounted("size=200m")
    run.finish()
    check_equal(undisturbed(), run.output, logs=False)


@pytest.mark.parametrize("when", ["resumed", "before"][: cases(1, 2)])
def test_a_read_only_disk(
    nursery: Nursery, data_set: Path, mounted: Callable[[str], Path], undisturbed: Callable[..., Path], when: str
) -> None:
    run = Run(nursery, data_set, mounted("size=200m") / "out")
    if when == "resumed":
        run.start(more=["--epochs-this-job", "2"])
        assert run.wait() == 0
    mounted("ro")
    error = run.disturbed("nothing")
    assert error.endswith("/out: cannot be written (Read-only file system); give another --output")
    mounted("rw")
    run.finish()
    check_equal(undisturbed(), run.output)


@pytest.mark.skipif(not FULL or os.getuid() != 0, reason="in full only; only root can become another user")
def test_a_folder_of_another_user(run: Run, data_set: Path, undisturbed: Callable[..., Path]) -> None:
    run.start(more=["--epochs-this-job", "2"])
    assert run.wait() == 0
    for folder in (*run.output.parents, data_set.parent, data_set):
        if folder.stat().st_mode & 0o777 == 0o700 and folder != Path("/root"):
            folder.chmod(0o755)
    error = run.disturbed("other_user", uid=65534, folder=str(run.output))
    assert error.endswith("/out: cannot be written (Permission denied); give another --output")
    run.finish()
    check_equal(undisturbed(), run.output)
