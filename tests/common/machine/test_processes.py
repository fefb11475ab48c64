"""Process pools: order of results, start method, killed processes."""

import multiprocessing
import os

import pytest
import torch

from common.errors import InputError
from common.machine.processes import map_in_processes


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
