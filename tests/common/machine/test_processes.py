"""Process pools: order of results, start method, killed processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from common.errors import InputError
from common.machine.processes import map_in_processes
from tests.support.paths import REPOSITORY


def kind_of_process(_):
    return type(multiprocessing.current_process()).__name__


@pytest.mark.medium
def test_processes_are_fresh_where_this_one_uses_a_gpu(monkeypatch):
    """CUDA does not work in a process forked from one that uses it."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert list(map_in_processes(kind_of_process, [1, 2], 2, "asking")) == ["SpawnProcess"] * 2


def test_one_process_and_none():
    assert list(map_in_processes(abs, [-2, 1], 1, "counting")) == [2, 1]
    assert list(map_in_processes(abs, [], 4, "counting")) == []


def test_a_killed_process_is_named():
    with pytest.raises(InputError, match="--jobs: a process was killed"):
        list(map_in_processes(os._exit, [1, 1], 2, "ending"))


WORKERS = """
import os, sys, time
from common.machine.processes import map_in_processes
def announce(_):
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(0.5)
for _ in map_in_processes(announce, range(1000), 3, "sleeping"):
    pass
"""


@pytest.mark.medium
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_their_parent(number):
    """Also where it cannot tell them: they would wait for work forever."""
    parent = subprocess.Popen([sys.executable, "-c", WORKERS], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    workers = {int(parent.stdout.readline()) for _ in range(3)}
    parent.send_signal(number)
    parent.wait(10)
    deadline = time.monotonic() + 20
    while running := {worker for worker in workers if is_running(worker)}:
        assert time.monotonic() < deadline, running
        time.sleep(0.1)


def is_running(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True
