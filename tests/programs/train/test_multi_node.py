"""Training on two hosts: two torchrun agents on the loopback interface, one of which dies.

A host is an agent with one worker. Ranks follow the order of the hosts' addresses, so rank 0, which writes logs and
checkpoints, is on the first host.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import torch

from tests.support.data_sets import write_data_set
from tests.support.models import TINY
from tests.support.paths import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.alone]
# A host counts as dead after five seconds without a heartbeat. Elastic jobs wait two seconds for late hosts.
RENDEZVOUS = "keep_alive_interval=1,keep_alive_max_attempt=5,last_call_timeout=2,join_timeout=60"
EPOCHS, STEPS = 2, 2
ENVIRONMENT = {
    **{"PYTHON": sys.executable, "NUM_GPUS": "0", "BATCH_SIZE": "1", "EPOCHS": str(EPOCHS), "MAX_RESTARTS": "3"},
    **{"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    # Never returning memory to the system saves a third of the time where page faults are slow.
    **{"MALLOC_MMAP_THRESHOLD_": "10000000000", "MALLOC_TRIM_THRESHOLD_": "10000000000"},
}


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """Four training clips: an epoch has two optimiser steps of two segments each."""
    folder = write_data_set(tmp_path_factory.mktemp("data") / "set", [0.3] * 6)
    (folder / "val.txt").write_text("wavs/clip004.wav\n")
    (folder / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    return folder


def arguments(data_set, output):
    lists = ["--training-files", str(data_set / "train.txt"), "--validation-files", str(data_set / "val.txt")]
    model = ["--hifigan-config", str(data_set / "tiny.json"), "--segment-size", "1024"]
    how_often = ["--checkpoint-interval", "1", "--validation-interval", "100"]
    return ["--output", str(output), "--dataset-path", str(data_set), "--num-workers", "0", *lists, *model, *how_often]


class Started:
    """A running training script and its output so far."""

    def __init__(self, *args, **variables):
        self.process = subprocess.Popen(
            ["bash", "scripts/train_lj22khz.sh", *args],
            cwd=REPOSITORY,
            env={**os.environ, **ENVIRONMENT, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines = []
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()

    @property
    def text(self):
        return "".join(self.lines)

    def wait_for(self, pattern, times=1, seconds=100):
        """Wait until `times` lines match."""

        def seen():
            return sum(bool(re.search(pattern, line)) for line in self.lines) >= times

        with self._news:
            assert self._news.wait_for(seen, seconds), f"no {pattern!r} in\n{self.text}"

    def status(self, seconds=100):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"not finished after {seconds} s:\n{self.text}")

    def workers(self):
        return children(self.process.pid)

    def kill(self):
        """Simulate a loss of power. The agent dies first, or it would notice the death of its worker."""
        workers = self.workers()
        for pid in (self.process.pid, *workers):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # each worker leads its own session
        self.process.wait(10)
        deadline = time.monotonic() + 10
        while any(map(alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(alive, workers))


def process_table():
    """Map the pid of every process to its parent and state."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    return {int(pid): (int(parent), state) for pid, parent, state in map(str.split, table.splitlines())}


def children(pid):
    return [child for child, (parent, state) in process_table().items() if parent == pid and state[0] != "Z"]


def alive(pid):
    _, state = process_table().get(pid, (0, "Z"))
    return state[0] != "Z"


@pytest.fixture
def start():
    """Return a function that starts programs. All are killed at the end of the test."""
    started = []

    def run(*args, **variables):
        started.append(Started(*args, **variables))
        return started[-1]

    yield run
    for program in started:
        program.kill()


@pytest.fixture
def host(start):
    """Return a function that starts the script on host 1 or 2. Host 1 also runs the rendezvous server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{probe.getsockname()[1]}"

    def run(number, *args, **variables):
        settings = f"{RENDEZVOUS},is_host={int(number == 1)}"
        return start(
            *args, RDZV_ENDPOINT=endpoint, PET_RDZV_CONF=settings, PET_LOCAL_ADDR=f"127.0.0.{number}", **variables
        )

    return run


def final_weights(output):
    gen = torch.load(output / f"hifigan_gen_checkpoint_{EPOCHS}.pt", weights_only=True)
    discrim = torch.load(output / f"hifigan_discrim_checkpoint_{EPOCHS}.pt", weights_only=True)
    msd = {f"msd.{key}": value for key, value in discrim["msd"].items()}
    return {**gen["generator"], **discrim["mpd"], **msd}


def logged_steps(output):
    """Return position and losses of every logged step in order."""
    records = [json.loads(line.removeprefix("DLLL ")) for line in (output / "nvlog.json").read_text().splitlines()]
    return [
        (tuple(record["step"][:2]), [record["data"][f"train_{name}"] for name in ("d_loss", "g_loss", "mel_loss")])
        for record in records
        if "train_d_loss" in record["data"]
    ]


@pytest.fixture(scope="module")
def undisturbed(data_set, tmp_path_factory):
    """Return the output directory of the same training in one process."""
    output = tmp_path_factory.mktemp("undisturbed")
    program = Started(*arguments(data_set, output), GRAD_ACCUMULATION="2", MAX_RESTARTS="0")
    try:
        assert program.status() == 0, program.text
    finally:
        program.kill()
    return output


def assert_same(output, undisturbed):
    """Check that every step is logged, in order apart from repeated ones, and that all losses and weights agree."""
    weights, steps = final_weights(undisturbed), dict(logged_steps(undisturbed))
    ours = logged_steps(output)
    assert list(dict(ours)) == list(steps) == [(e, s) for e in range(1, EPOCHS + 1) for s in range(1, STEPS + 1)]
    for position, losses in ours:
        assert losses == pytest.approx(steps[position], rel=1e-4), position
    final = final_weights(output)
    assert final.keys() == weights.keys()
    for key, value in final.items():
        assert torch.equal(value, weights[key]), key


def test_a_host_dies_and_comes_back_then_a_worker_dies(host, data_set, undisturbed, tmp_path):
    argv, variables = arguments(data_set, tmp_path), {"NNODES": "2", "GRAD_ACCUMULATION": "1"}
    first, second = host(1, *argv, **variables), host(2, *argv, **variables)
    first.wait_for(r"epoch +2 \| iter +1/2")  # this step will be lost
    second.kill()
    first.wait_for("train.py: error: another process was lost: ")
    second = host(2, *argv, **variables)
    first.wait_for("resumed after epoch 1, optimiser step 2")
    (worker,) = second.workers()
    os.kill(worker, signal.SIGKILL)
    assert (first.status(), second.status()) == (0, 0), first.text + second.text
    assert len(re.findall("resumed after epoch 1, optimiser step 2", first.text)) == 2
    assert_same(tmp_path, undisturbed)


def test_an_elastic_job_goes_on_without_the_lost_host(host, data_set, undisturbed, tmp_path):
    argv = [*arguments(data_set, tmp_path), "--global-batch-size", "2"]
    first, second = host(1, *argv, NNODES="1:2"), host(2, *argv, NNODES="1:2")
    first.wait_for(r"saved .*checkpoint_1\.pt")
    second.kill()
    assert first.status() == 0, first.text
    assert "resumed after epoch 1, optimiser step 2" in first.text
    assert_same(tmp_path, undisturbed)


def test_hosts_that_do_not_share_the_output_directory(host, data_set, undisturbed, tmp_path):
    variables = {"NNODES": "2", "GRAD_ACCUMULATION": "1", "EPOCHS": str(EPOCHS + 1), "MAX_RESTARTS": "0"}
    first = host(1, *arguments(data_set, undisturbed), **variables)
    second = host(2, *arguments(data_set, tmp_path), **variables)
    assert (first.status(), second.status()) == (1, 1)
    for program in (first, second):
        program.wait_for("train.py: error: --output: .*one directory that all machines share")
