"""The process group, in processes of torchrun."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from common import distributed
from common.errors import InputError
from tests.support.paths import REPOSITORY

# The kernel may list a thread that has just ended for a moment more.
ENDING = """
import time
from pathlib import Path
import torch
from common import distributed

def threads():
    return [task for task in Path("/proc/self/task").iterdir() if "gloo" in (task / "comm").read_text()]

place = distributed.init(cuda=False)
import torch._dynamo
module = distributed.wrap(torch.nn.Linear(2, 2), place)
module(torch.ones(1, 2)).sum().backward()
distributed.barrier()
alive = threads()
assert alive
distributed.shutdown()
assert not distributed._averaging
until = time.monotonic() + 3
while any(task.exists() for task in alive):
    assert time.monotonic() < until, alive
    time.sleep(0.01)
"""


@pytest.mark.medium
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux tells of threads")
def test_no_thread_outlives_the_group(tmp_path):
    """Objects and modules from its lifetime may still exist."""
    program = tmp_path / "ending.py"
    program.write_text(ENDING)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (0, "--num-gpus: 8, but PyTorch finds no GPU on this machine; omit the flag to use the CPU"),
        (1, "--num-gpus: 8, but PyTorch finds 1 GPU on this machine; give at most 1"),
        (2, "--num-gpus: 8, but PyTorch finds 2 GPUs on this machine; give at most 2"),
    ],
)
def test_missing_gpus_are_counted(found, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    distributed.check_gpus(found, "--num-gpus")
    with pytest.raises(InputError) as caught:
        distributed.check_gpus(8, "--num-gpus")
    assert str(caught.value) == message


def test_attention_on_gpus_plans_nothing_for_each_shape(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(distributed, "check_kernels", lambda device: None)
    before = torch.backends.cuda.cudnn_sdp_enabled()
    try:
        torch.backends.cuda.enable_cudnn_sdp(True)
        assert distributed.select_device(False).type == "cpu"
        assert torch.backends.cuda.cudnn_sdp_enabled()
        assert distributed.select_device(True) == torch.device("cuda", 0)
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.backends.cuda.flash_sdp_enabled()
        assert torch.backends.cuda.mem_efficient_sdp_enabled()
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


ENVIRONMENTS = {
    "left over": ({"WORLD_SIZE": "2", "RANK": "0"}, "WORLD_SIZE=2 is set, but MASTER_ADDR and MASTER_PORT are not"),
    "empty address": (
        {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "", "MASTER_PORT": "1"},
        "WORLD_SIZE=2 is set, but MASTER_ADDR is not; start several processes with torchrun",
    ),
    "rank": ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK=2 and WORLD_SIZE=2 contradict each other"),
    "rank alone": ({"RANK": "1"}, "RANK=1 and WORLD_SIZE=1 contradict each other"),
    "words": ({"WORLD_SIZE": "two"}, "WORLD_SIZE=two is not a number"),
}


@pytest.mark.parametrize("kind", ENVIRONMENTS)
def test_variables_without_torchrun(kind, monkeypatch):
    variables, message = ENVIRONMENTS[kind]
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message) as caught:
        distributed.init(cuda=False)
    assert "unset" in str(caught.value)


def test_empty_variables_count_as_unset(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "")
    assert distributed.init(cuda=False) == distributed.Distributed(0, 0, 1, torch.device("cpu"))


@pytest.mark.parametrize("late", [[2], [0, 2], []])
def test_processes_that_do_not_report_are_named(monkeypatch, late):
    """Four processes of which this is the second. Stress tests stop a process of a training run."""
    monkeypatch.setattr(distributed, "_SHORTEST_ROLL_CALL_SEC", 0.5)
    store = dist.HashStore()
    for rank in range(4):
        store.set(f"{distributed._WHO}{rank}", f"pid {100 + rank} on host")
        if rank not in (*late, 1):
            store.set(f"{distributed._WAITED}{rank}", "")
    named = distributed._Peers(store, 1, 4, 0.1).call_roll()
    assert named == [f"process {rank + 1} of 4 (pid {100 + rank} on host)" for rank in late]


def test_a_store_that_has_gone_names_all_others(monkeypatch):
    monkeypatch.setattr(distributed, "_SHORTEST_ROLL_CALL_SEC", 0.1)

    class Gone:
        def set(self, key, value):
            raise RuntimeError("connection reset")

    named = distributed._Peers(Gone(), 1, 2, 0.0).call_roll()
    assert named == ["process 1 of 2"]
