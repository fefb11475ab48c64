"""Two runs with one output: one works at a time, and the files come from one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stress.programs.inputs import Inputs
from tests.stress.programs.test_killed_programs import PROGRAMS
from tests.stress.programs.victims import Victim, contents, differences, finish
from tests.support.stress import cases, record


@pytest.mark.medium
@pytest.mark.parametrize("name", [name for name in PROGRAMS if "export" not in name])
def test_the_files_are_those_of_one_run(name: str, tmp_path: Path, inputs: Inputs) -> None:
    program = PROGRAMS[name]
    whole = tmp_path / "whole"
    whole.mkdir()
    program.prepare(whole, inputs)
    assert finish(program, whole, inputs).status == 0
    expected = contents(whole, program.changing)
    count, refused = cases(1, 5), 0
    for case in range(count):
        folder = tmp_path / f"case{case}"
        folder.mkdir()
        program.prepare(folder, inputs)
        victims = [Victim(program, folder, inputs, log=f"{case}-{number}") for number in range(2)]
        ends = [victim.wait() for victim in victims]
        statuses = sorted(ended.status for ended in ends)
        assert statuses in ([0, 0], [0, 1]), ends
        for ended in ends:
            if ended.status:
                (line,) = [line for line in ended.lines if ": error: " in line]
                assert " is at work there; wait until it ends, stop it, or " in line
                refused += 1
        assert not (wrong := differences(contents(folder, program.changing), expected)), (wrong, ends)
    record(
        f"{name}, started twice with one output at the same time: the files of one run",
        count,
        f"{count} pairs, equal files, {refused} refused after waiting",
    )
