"""Programs run as child processes, stop with this one, and keep other starts out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.errors import InputError
from tests.support.paths import REPOSITORY
from voice.training.children import ChildProcesses, ProgramFailedError, StoppedError, describe, only_start_in

# A program that writes the signals that it gets into a file, and ends 0.3 s after one.
PATIENT = """
import signal, sys, time
from pathlib import Path
got = []
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: got.append(number))
Path(sys.argv[1]).write_text("started")
while not got:
    time.sleep(0.05)
time.sleep(0.3)
Path(sys.argv[1]).write_text(" ".join(map(str, got)))
sys.exit(128 + got[0])
"""
# Runs PATIENT as a stage of a voice's training does: arguments are the folder, its lock's patience, and the file.
STARTER = """
import sys
from pathlib import Path
from voice.training.children import *
children = ChildProcesses({})
try:
    with only_start_in(Path(sys.argv[1]), children, float(sys.argv[2])):
        children.run(["-c", sys.argv[4], sys.argv[3]])
except StoppedError as stopped:
    sys.exit(stopped.status)
except InputError as error:
    sys.exit(str(error))
"""


def start(folder: Path, file: Path, patience_sec: float = 0) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", STARTER, str(folder), str(patience_sec), str(file), PATIENT]
    return subprocess.Popen(words, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)


def wait_for(file: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while not file.is_file() or file.read_text() != text:
        assert time.monotonic() < deadline, f"{file} does not hold {text}"
        time.sleep(0.05)


def test_programs_run_in_the_repository_with_their_variables(tmp_path: Path) -> None:
    program = "import os, sys; open(sys.argv[1], 'w').write(os.getcwd() + os.environ['OMP_NUM_THREADS'])"
    ChildProcesses({"OMP_NUM_THREADS": "7"}).run(["-c", program, str(tmp_path / "seen")])
    assert (tmp_path / "seen").read_text() == f"{REPOSITORY}7"


def test_programs_run_at_the_same_time(tmp_path: Path) -> None:
    """Each waits for the other's file."""
    program = (
        "import sys, time; from pathlib import Path; Path(sys.argv[1]).touch()\n"
        "while not Path(sys.argv[2]).exists(): time.sleep(0.05)"
    )
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    ChildProcesses({}).run(["-c", program, one, other], ["-c", program, other, one])


def test_a_failure_stops_the_others_and_is_named(tmp_path: Path) -> None:
    file = tmp_path / "signals"
    wait = f"import time, sys, pathlib\nwhile not pathlib.Path({str(file)!r}).exists(): time.sleep(0.05)\nsys.exit(3)"
    broken = tmp_path / "broken.py"
    broken.write_text(wait)
    with pytest.raises(ProgramFailedError, match=r"broken\.py ended with status 3, see .* run the same command again"):
        ChildProcesses({}).run(["-c", PATIENT, str(file)], [str(broken)])
    assert file.read_text() == str(int(signal.SIGTERM))


@pytest.mark.parametrize(("command", "name"), [
    (["train.py", "-d", "x"], "train.py"),
    (["-m", "fastpitch.train", "-d", "x"], "fastpitch.train"),
    (["-m", "torch.distributed.run", "--standalone", "train.py", "-d", "x"], "train.py"),
    (["-m", "common.download.models", "x"], "common.download.models"),
])  # fmt: skip
def test_names_of_programs(command: list[str], name: str) -> None:
    assert describe(command) == name


@pytest.mark.medium
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_passed_on_once(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, tmp_path / "signals")
    wait_for(tmp_path / "signals", "started")
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    assert (tmp_path / "signals").read_text() == str(int(number))


@pytest.mark.medium
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells programs of their starter's end on Linux only")
def test_programs_stop_when_their_starter_is_killed(tmp_path: Path) -> None:
    """The next start waits until they have ended."""
    process = start(tmp_path, tmp_path / "signals")
    wait_for(tmp_path / "signals", "started")
    process.kill()
    process.wait(30)
    following = start(tmp_path, tmp_path / "following", patience_sec=60)
    wait_for(tmp_path / "following", "started")
    assert (tmp_path / "signals").read_text() == str(int(signal.SIGTERM))
    following.terminate()
    following.wait(30)


@pytest.mark.medium
def test_a_second_start_is_refused(tmp_path: Path) -> None:
    first = start(tmp_path, tmp_path / "signals")
    wait_for(tmp_path / "signals", "started")
    second = start(tmp_path, tmp_path / "other")
    error = second.communicate(timeout=60)[1].strip()
    assert second.returncode == 1
    assert error.startswith(f"{tmp_path}: process {first.pid} on ")
    assert " or a program that it started is at work there; wait until it ends, stop it, or give " in error
    assert not (tmp_path / "other").exists()
    first.terminate()
    first.wait(30)


def test_a_signal_between_programs_stops_before_the_next(tmp_path: Path) -> None:
    children = ChildProcesses({})
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(StoppedError) as stopped:
        children.run(["-c", "raise SystemExit(1)"])
    assert stopped.value.status == 143
    with only_start_in(tmp_path / "new", children):
        assert (tmp_path / "new").is_dir()
    assert issubclass(ProgramFailedError, InputError)
