"""Signals and standard streams of a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.machine import signals_and_streams
from tests.support.paths import REPOSITORY


def python(code: str, redirection: str = "", folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Run code, from a shell with this redirection, and return its status as shells report it."""
    words = ["bash", "-c", f'"$0" -c "$1" {redirection}', sys.executable, code]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


STOPPED = """
import os, signal
from common.cli import run
def main():
    try:
        os.kill(os.getpid(), signal.{})
    finally:
        print("removed")
run(main, "program.py")
"""


@pytest.mark.parametrize(("name", "status", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")])
def test_a_signal_ends_a_program_in_one_line_after_it_has_cleaned_up(name: str, status: int, word: str) -> None:
    done = python(STOPPED.format(name))
    assert (done.returncode, done.stdout, done.stderr) == (status, "removed\n", f"program.py: {word}\n")


STARTING = """
import os, signal
from common.cli import check_command_line
signal.signal(signal.SIGINT, {})
check_command_line(int, "program.py")
os.kill(os.getpid(), signal.SIGINT)
print("imported")
"""


def test_the_start_ends_without_a_traceback_of_imports() -> None:
    done = python(STARTING.format("signal.default_int_handler"))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "program.py: interrupted\n")


def test_signals_that_the_caller_ignores_stay_ignored() -> None:
    """With nohup, and in the background of scripts."""
    assert python(STARTING.format("signal.SIG_IGN")).stdout == "imported\n"
    code = STOPPED.replace(
        "try:", "signal.signal(signal.SIGINT, signal.SIG_IGN); signals_and_streams.raise_at_signals()\n    try:"
    )
    done = python(f"from common.machine import signals_and_streams\n{code.format('SIGINT')}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "removed\n", "")


def test_a_second_signal_kills() -> None:
    code = STOPPED.replace('print("removed")', "os.kill(os.getpid(), signal.SIGTERM); print('on')")
    assert python(code.format("SIGINT")).returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)


STREAMS = """
import os, sys
from common.cli import run
def main():
    with open("file", "w") as file:
        os.write(1, b"by a library")
        os.write(2, b"by a library")
        file.write(f"{file.fileno() > 2} {sys.stdin.isatty()} {sys.stderr.isatty()}")
    print("printed")
run(main, "program.py")
"""


def test_what_libraries_print_does_not_land_in_a_file(tmp_path: Path) -> None:
    done = python(STREAMS, "<&- >&- 2>&-", tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "file").read_text() == "True False False"


PRINTING = "from common.cli import run; run(lambda: print('x' * {}), 'program.py')"


@pytest.mark.parametrize("length", [1, 10**6])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_ended_and_a_full_disk(monkeypatch: pytest.MonkeyPatch, length: int, unbuffered: str) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    done = python(PRINTING.format(length), "| true; echo ${PIPESTATUS[0]}")
    assert (done.stdout, done.stderr) == ("141\n", "")
    if Path("/dev/full").exists():
        done = python(PRINTING.format(length), "> /dev/full")
        assert done.returncode == 1
        assert done.stderr.startswith("program.py: error: ")
        assert "No space left on device" in done.stderr
        assert done.stderr.count("\n") == 1


def test_nobody_reads_the_error() -> None:
    failing = (
        "from common.cli import run; from common.errors import InputError\ndef f(): raise InputError('x')\nrun(f, '')"
    )
    done = python(failing, "2>&1 | true; echo ${PIPESTATUS[0]}")
    assert done.stdout == "1\n"


def test_samples_are_not_written_to_a_closed_stdout() -> None:
    assert signals_and_streams.CLOSED_PIPE == 128 + signal.SIGPIPE
    code = "from common.machine.signals_and_streams import open_standard_streams; open_standard_streams()"
    assert python(f"import sys\n{code}\nprint(sys.stdout, file=sys.stderr)", ">&-").stderr == "None\n"


POSTPONED = """
import os, signal, threading
from common.cli import run
from common.machine.signals_and_streams import signals_wait
def main():
    try:
        with signals_wait():
            {}
            print("forked", flush=True)
        print("not reached")
    finally:
        print("removed")
run(main, "program.py")
"""


@pytest.mark.parametrize(
    "sender",
    [
        "os.kill(os.getpid(), signal.SIGTERM)",
        # The signal is received by a thread that does not block it.
        "thread = threading.Thread(target=lambda: (signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM]), "
        "os.kill(os.getpid(), signal.SIGTERM))); thread.start(); thread.join()",
    ],
)
def test_a_signal_while_processes_start_waits(sender: str) -> None:
    done = python(POSTPONED.format(sender))
    assert (done.returncode, done.stdout, done.stderr) == (143, "forked\nremoved\n", "program.py: terminated\n")
