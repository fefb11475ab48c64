"""Input that is replaced, deleted or truncated while a program works: the others go on, and the next run mends it."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from tests.stress.programs.inputs import Inputs
from tests.stress.programs.test_killed_programs import PROGRAMS
from tests.stress.programs.victims import Program, Victim, contents, differences, finish
from tests.support.stress import cases, record

OWN_INPUT = {
    "prepare_dataset.py": PROGRAMS["prepare_dataset.py"],
    "inference.py": Program(
        "inference",
        lambda folder, inputs: [
            *("--hifigan", str(inputs.vocoder), "-i", str(folder / "wavs"), "-o", str(folder / "out")),
            *("--batch-size", "1"),
        ],
        PROGRAMS["prepare_dataset.py"].prepare,
        ("nvlog_infer.json", "synthesis.json"),
    ),
}
SOURCES = ("wavs", "metadata.csv")


def outputs(program: Program, folder: Path) -> dict[str, bytes]:
    found = contents(folder, program.changing)
    return {name: content for name, content in found.items() if not name.startswith(SOURCES)}


@pytest.mark.medium
@pytest.mark.parametrize("name", OWN_INPUT)
def test_the_next_run_is_that_of_the_new_input(name: str, tmp_path: Path, inputs: Inputs) -> None:
    program = OWN_INPUT[name]
    changed = tmp_path / "changed"
    changed.mkdir()
    program.prepare(changed, inputs)
    clips = sorted((changed / "wavs").iterdir())
    for clip, other in zip(clips, [*clips[1:], clips[0]], strict=True):  # each has the audio of the next one
        shutil.copy(inputs.data / "wavs" / other.name, clip)
    for _ in range(2):  # the first waits for imports
        for path in changed.iterdir():
            if path.name not in SOURCES:
                shutil.rmtree(path)
        began = time.monotonic()
        assert finish(program, changed, inputs).status == 0
        seconds = time.monotonic() - began
    expected = outputs(program, changed)
    numbers = random.Random(0)
    count = cases(1, 10)
    for case in range(count):
        folder = tmp_path / f"case{case}"
        folder.mkdir()
        program.prepare(folder, inputs)
        victim = Victim(program, folder, inputs)
        time.sleep(numbers.uniform(0.1, max(0.2, seconds)))
        for clip in clips:  # in three steps: first each is half a file, then gone, then new
            path = folder / "wavs" / clip.name
            os.truncate(path, path.stat().st_size // 2)
            time.sleep(0.002)
            path.unlink()
            time.sleep(0.002)
            shutil.copyfile(clip, path)
        ended = victim.wait()
        assert ended.status in (0, 1), ended
        errors = [line for line in ended.lines if ": error: " in line]
        assert len(errors) == ended.status, ended
        assert not any("Traceback" in line for line in ended.lines), ended
        again = finish(program, folder, inputs)
        assert again.status == 0, again
        assert not (wrong := differences(outputs(program, folder), expected)), (wrong, ended)
        shutil.rmtree(folder)
    record(
        f"{name}: input truncated, deleted and replaced in mid-run; one line, and the next run makes what is old",
        count,
        f"{count} runs, then the files of an undisturbed run",
    )
