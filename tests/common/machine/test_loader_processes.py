"""Processes that load data."""

import multiprocessing
import os
import signal
import time

import pytest
from torch.utils.data import DataLoader

from common.machine.loader_processes import leave_signals_to_the_parent, lost_loaders_named, stop_loader_processes


class Deadly:
    """A data set whose second item kills its loader process. The first sends SIGTERM, which loaders ignore."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGTERM if index == 0 else signal.SIGKILL)
        time.sleep(0.2)
        return index


def load():
    with lost_loaders_named():
        for _ in DataLoader(Deadly(), batch_size=None, num_workers=1, worker_init_fn=leave_signals_to_the_parent):
            pass


def test_a_killed_process_is_named():
    with pytest.raises(OSError, match=r"a process that loads audio was killed.* fewer --num-workers"):
        load()


def test_processes_are_stopped():
    handler = signal.getsignal(signal.SIGCHLD)
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True)
    child.start()
    try:
        stop_loader_processes()
    finally:
        signal.signal(signal.SIGCHLD, handler)
    child.join(10)
    assert child.exitcode == -signal.SIGKILL


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="other"), lost_loaders_named():
        raise RuntimeError("other")
