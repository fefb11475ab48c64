"""Full disks, limits on the size of files, read-only outputs: one line, and nothing is half-written."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import random
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stress.programs.inputs import Inputs
from tests.stress.programs.test_killed_programs import PROGRAMS
from tests.stress.programs.victims import Ended, Program, Victim, contents, differences, finish
from tests.support.stress import cases, record


def whole(program: Program, tmp_path: Path, inputs: Inputs) -> dict[str, bytes]:
    folder = tmp_path / "whole"
    folder.mkdir()
    program.prepare(folder, inputs)
    assert finish(program, folder, inputs).status == 0
    return contents(folder, program.changing)


def check_one_line(program: Program, ended: Ended, *causes: str) -> str:
    assert ended.status == 1, ended
    assert not any("Traceback" in line for line in ended.lines), ended
    (line,) = [line for line in ended.lines if line.startswith(f"{program.prog}: error: ")]
    assert any(cause in line for cause in causes), line
    return line


def check_whole(folder: Path, program: Program, expected: dict[str, bytes]) -> None:
    """All files have their whole content, and there are no temporary ones."""
    found = contents(folder, program.changing)
    wrong = [name for name, content in found.items() if expected.get(name) != content]
    assert not wrong, wrong


def limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.medium
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_limit_on_the_size_of_files(name: str, tmp_path: Path, inputs: Inputs) -> None:
    """As by `ulimit -f`. Each size class of files is refused, then made."""
    program = PROGRAMS[name]
    if "extract_mels" in name:  # the limit is also one on what loaders share
        arguments = program.arguments
        program = dataclasses.replace(program, arguments=lambda *given: [*arguments(*given), "--num-workers", "0"])
    expected = whole(program, tmp_path, inputs)
    folder = tmp_path / "limited"
    folder.mkdir()
    program.prepare(folder, inputs)
    made = differences(expected, contents(folder))
    sizes = sorted({len(expected[name]) - 1 for name in made if len(expected[name]) > 1})
    sizes = random.Random(0).sample(sizes, min(len(sizes), cases(1, 8)))
    for size in sizes:
        ended = Victim(program, folder, inputs, functools.partial(limit_files, size)).wait()
        if ended.status:  # nothing larger is left to be made
            check_one_line(program, ended, "File too large")
        check_whole(folder, program, expected)
    assert finish(program, folder, inputs).status == 0
    assert not (wrong := differences(contents(folder, program.changing), expected)), wrong
    record(f"{name}: a limit on the size of files", len(sizes), "one line each; then the files of an undisturbed run")


@contextlib.contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    """Mount a file system in memory."""
    folder.mkdir(exist_ok=True)
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.medium
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_full_disk(name: str, tmp_path: Path, inputs: Inputs) -> None:
    """It is full after a random number of bytes. With more space, the next run finishes the work."""
    program = PROGRAMS[name]
    expected = whole(program, tmp_path, inputs)
    numbers = random.Random(0)
    folder = tmp_path / "disk"
    full = 0
    for _ in range(count := cases(1, 10)):
        with small_disk(folder, "size=64m"):
            program.prepare(folder, inputs)
            before = contents(folder)
            needed = sum(len(expected[name]) for name in differences(expected, before))
            pages = sum(-(-len(content) // 4096) for content in before.values()) + 12  # and folders, which take none
            size = 4096 * pages + numbers.randrange(max(needed, 1))
            subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
            ended = finish(program, folder, inputs)
            if ended.status:
                check_one_line(program, ended, "No space left on device")
                full += 1
            check_whole(folder, program, expected)
            subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)
            again = finish(program, folder, inputs)
            assert again.status == 0, again
            assert not (wrong := differences(contents(folder, program.changing), expected)), wrong
    record(
        f"{name}: the disk is full after a random number of bytes",
        count,
        f"{full} full: one line each, no file is half-written; with space, the files of an undisturbed run",
    )


@pytest.mark.medium
@pytest.mark.parametrize("name", PROGRAMS)
def test_outputs_that_cannot_be_written(name: str, tmp_path: Path, inputs: Inputs) -> None:
    program = PROGRAMS[name]
    folder = tmp_path / "run"
    folder.mkdir()
    program.prepare(folder, inputs)
    words = program.arguments(folder, inputs)
    output = Path(words[words.index("-o") + 1]) if "-o" in words else folder / "mels"
    if "--convert-to" in words:
        output = Path(words[words.index("--convert-to") + 1])
    top = output if output.parent == folder else output.parent
    top.write_text("a file")
    ended = finish(program, folder, inputs)
    line = check_one_line(program, ended, "is a file", "File exists", "Not a directory", "cannot be written")
    assert str(top) in line
    assert top.read_text() == "a file"
    top.unlink()
    with small_disk(top, "size=64m,ro"):
        line = check_one_line(program, finish(program, folder, inputs), "Read-only file system")
        assert str(top) in line
    record(f"{name}: the output is a file, or read-only", 2, "one line each")
