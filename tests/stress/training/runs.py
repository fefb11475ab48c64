"""Runs of train.py that are disturbed, and comparison with an undisturbed one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import torch

from common.plot_log import read_curves
from tests.stress.training.nursery import Nursery
from tests.support.programs import train_arguments

EPOCHS = 3  # one step and one save each
CURVES = ("train_d_loss", "train_g_loss", "train_mel_loss", "train_lrate_gen", "val_mel_loss")
PEER_TIMEOUT_SEC = 60


class Run:
    """Successive processes that train into one directory, one at a time or one for each rank."""

    def __init__(self, nursery: Nursery, data_set: Path, output: Path, ranks: int = 1, **changes: Any) -> None:
        self.output = output
        self._texts = data_set.with_name("texts")  # which can be written whatever happens to the output
        self._texts.mkdir(exist_ok=True)
        self.ranks = ranks
        self.pids: list[int] = []
        self._nursery = nursery
        options = {
            "epochs": EPOCHS,
            "batch_size": 2 // ranks,
            "checkpoint_interval": 1,
            "validation_interval": 2,
            "samples_interval": 100,
            **({"peer_timeout_sec": PEER_TIMEOUT_SEC} if ranks > 1 else {}),
            **changes,
        }
        self.argv = train_arguments(data_set, output, **options)

    def start(self, fault: str = "", more: list[str] | None = None, **values: Any) -> None:
        """Start the program, or one process of each rank, with output to files."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.pids = []
        for rank in range(self.ranks):
            self._text_path(rank).write_text("")
            variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": self.ranks, "MASTER_PORT": port}
            words = {key: str(value) for key, value in variables.items()} | {"MASTER_ADDR": "127.0.0.1"}
            self.pids.append(
                self._nursery.ask(
                    start=[*self.argv, *(more or [])],
                    variables=words if self.ranks > 1 else {},
                    output=self._text_path(rank),
                    fault=fault,
                    values=values,
                )
            )

    def _text_path(self, rank: int) -> Path:
        return self._texts / f"{'-'.join(self.output.parts[-3:])}.{rank}.txt"

    def text(self, rank: int = 0) -> str:
        """Return the output of the last process."""
        return self._text_path(rank).read_text(errors="replace")

    def poll(self, rank: int = 0) -> int | None:
        """Return the exit status, negative for a signal, or None while the process runs."""
        return self._nursery.ask(wait=self.pids[rank], block=False)

    def wait(self, rank: int = 0, seconds: float = 240) -> int:
        """Return the exit status. Kill a process that hangs."""
        deadline = time.monotonic() + seconds
        while (status := self.poll(rank)) is None:
            if time.monotonic() > deadline:
                os.killpg(self.pids[rank], signal.SIGKILL)
                self._nursery.ask(wait=self.pids[rank], block=True)
                raise AssertionError(f"hangs after {seconds} s:\n{self.text(rank)}")
            time.sleep(0.01)
        return status

    def wait_all(self, seconds: float = 240) -> list[int]:
        return [self.wait(rank, seconds) for rank in range(self.ranks)]

    def kill(self, rank: int = 0) -> int:
        """Kill a process. Return its exit status, since it may have ended by itself."""
        os.kill(self.pids[rank], signal.SIGKILL)
        return self.wait(rank)

    def finish(self) -> None:
        """Start again without a fault, and train to the end."""
        self.start()
        statuses = self.wait_all()
        assert statuses == [0] * self.ranks, "".join(map(self.text, range(self.ranks)))

    def disturbed(self, fault: str, *, status: int | None = 1, lines: int | None = 1, **values: Any) -> str:
        """Run with a fault. Check the exit status, and that there is no traceback. Return what it printed as errors."""
        self.start(fault, **values)
        found = self.wait()
        text = self.text()
        assert status is None or found == status, (found, text)
        assert "Traceback" not in text, text
        errors = [line for line in text.splitlines() if not line.startswith("DLL ")]
        assert lines is None or len(errors) <= lines, text
        return "\n".join(errors)


def check_equal(undisturbed: Path, other: Path, epochs: int = EPOCHS, logs: bool = True) -> None:
    """Compare the last pairs, moments, counters and generators, all logged steps, and the names of files."""
    names = {path.name for path in undisturbed.iterdir()}
    assert names == {path.name for path in other.iterdir()}
    pairs = sorted(name for name in names if name.endswith(f"_{epochs}.pt"))
    assert len(pairs) == 2, pairs
    for name in pairs:
        ours, theirs = (torch.load(folder / name, weights_only=True) for folder in (other, undisturbed))
        # A stop in mid-epoch needs one more pass over the data, which PyTorch's random state counts (training draws
        # nothing from it), and one more save, before which an older one is deleted.
        keys = (theirs.keys() | ours.keys()) - {"rng", "written"}
        different = [key for key in keys if not same(ours.get(key), theirs.get(key))]
        assert not different, (name, different)
    if logs:
        mine, expected = (read_curves(folder / "nvlog.json") for folder in (other, undisturbed))
        assert len(expected["train_d_loss"][0]) == epochs
        for metric in CURVES:
            assert mine[metric] == expected[metric], metric


def same(a: Any, b: Any) -> bool:
    """Return whether two nested values are bit-identical."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def begun(run: Run, source: Path) -> Run:
    """Copy a trained directory as the begin of a run."""
    shutil.copytree(source, run.output)
    return run
