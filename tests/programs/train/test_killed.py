"""A training run that is killed repeatedly ends exactly like an undisturbed one.

To fit many kills into little time, runs are forked from one process that has imported everything, and discriminators
have an eighth of their channels. To run it by hand with unmodified `train.py` processes (5 GB of disk):

    python -m tests.programs.train.test_killed FOLDER --kills 20 --plain
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

import train
from common import distributed
from common.cli import run as run_program
from common.plot_log import read_curves
from hifigan import discriminators
from hifigan.training.flags import parse_train_config
from hifigan.training.state import VocoderTrainState
from tests.support.data_sets import write_data_set
from tests.support.models import thin_layers
from tests.support.paths import REPOSITORY
from tests.support.programs import train_arguments

pytestmark = pytest.mark.alone

PHASES = ("start-up", "step", "save")


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    """Runs in a separate process: forking a process that has computed in several threads may hang."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.programs.train.test_killed", tmp_path],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_leftovers_go_although_nothing_is_left_to_train(tmp_path, monkeypatch):
    """After a kill while the last save was removing an old pair, no later save would remove it."""
    for name, layer in thin_layers().items():
        monkeypatch.setattr(discriminators, name, layer)
    output = tmp_path / "out"
    argv = train_arguments(write_data_set(tmp_path / "set", [0.3] * 3), output, epochs=3, checkpoint_interval=1)
    assert train.main(argv) == 0
    pairs = {path.name for path in output.glob("*.pt")}
    assert len(pairs) == 4
    for left in ("hifigan_discrim_checkpoint_1.pt", ".hifigan_gen_checkpoint_4.pt.tmp"):
        (output / left).write_bytes(b"left")
    assert train.main(argv) == 0
    assert {path.name for path in output.iterdir() if path.is_file()} == pairs | {"nvlog.json", "best.json"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--plain", action="store_true", help="real processes and discriminators")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print("seed", args.seed, flush=True)
    data_set = write_data_set(args.folder / "set", [0.3] * 3)
    (data_set / "val.txt").write_text("wavs/clip002.wav\n")
    if not args.plain:
        for name, layer in thin_layers().items():
            setattr(discriminators, name, layer)
        # Import now what the program imports lazily, so that every fork has it.
        importlib.import_module("torch.utils.tensorboard")
        VocoderTrainState(parse_train_config(train_arguments(data_set, args.folder)), distributed.init(cuda=False))
    epochs = args.kills + 4  # one step and one save each; few processes get beyond that
    undisturbed, killed = (Run(data_set, args.folder / name, epochs, args.plain) for name in ("undisturbed", "killed"))
    seconds = undisturbed.measure()
    print("undisturbed:", ", ".join(f"{phase} {length:.2f} s" for phase, length in seconds.items()), flush=True)
    kills, starts = kill_repeatedly(killed, seconds, args.kills, random.Random(args.seed))
    killed.start()
    assert killed.wait() == 0, killed.text()
    print(f"killed in {dict(kills)}; {dict(starts)}", flush=True)
    assert set(kills) == set(PHASES)
    assert sum(kills.values()) >= args.kills * 3 // 4
    assert starts["resumed"] >= args.kills // 4
    check_equal(undisturbed.output, killed.output, epochs)
    print("checkpoints and logs are equal")


class Run:
    """Successive processes that train into one directory."""

    def __init__(self, data_set: Path, output: Path, epochs: int, plain: bool) -> None:
        self.output = output
        self._stdout = output.with_suffix(".stdout")
        self._plain = plain
        self._argv = train_arguments(
            data_set, output, epochs=epochs, checkpoint_interval=1, validation_interval=100, samples_interval=100
        )

    def start(self) -> None:
        """Start the program with its output redirected to a file."""
        with self._stdout.open("w") as file:
            if self._plain:
                command = [sys.executable, "train.py", *self._argv]
                self._pid = subprocess.Popen(command, stdout=file, stderr=file).pid
                return
            self._pid = os.fork()
            if self._pid == 0:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                _train(self._argv)

    def wait(self, block: bool = True) -> int | None:
        """Return the exit status, negative for a signal, or None while the process runs."""
        pid, status = os.waitpid(self._pid, 0 if block else os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def kill(self) -> bool:
        """Kill the process. Return whether it had not ended by itself, with everything trained."""
        os.kill(self._pid, signal.SIGKILL)
        status = self.wait()
        assert status in (-signal.SIGKILL, 0), self.text()
        return status != 0

    def text(self) -> str:
        """Return the output of the last process."""
        return self._stdout.read_text()

    def has_pair(self) -> bool:
        return any(self.output.glob("hifigan_discrim_checkpoint_*.pt"))

    def phase(self) -> str:
        """Return the phase the process is in, or was in when it was killed."""
        lines = [line for line in self.text().splitlines() if line.startswith("DLL ")]
        if not lines:
            return "start-up"
        return "save" if "| avg train |" in lines[-1] else "step"

    def measure(self) -> dict[str, float]:
        """Train to the end. Return the seconds of start-up, first step and first save. Later ones are faster."""
        began = time.perf_counter()
        self.start()
        seconds: dict[str, float] = {}
        phase = "start-up"
        while (status := self.wait(block=False)) is None:
            if (now := self.phase()) != phase:
                seconds.setdefault(phase, time.perf_counter() - began)
                began, phase = time.perf_counter(), now
            time.sleep(0.002)
        assert status == 0, self.text()
        return seconds


def kill_repeatedly(
    run: Run, seconds: dict[str, float], count: int, rng: random.Random
) -> tuple[Counter[str], Counter[str]]:
    """Start and kill a run repeatedly, until everything is trained.

    Count kills by phase, and how the processes that got to train had started.
    """
    kills: Counter[str] = Counter()
    starts: Counter[str] = Counter()
    for number in range(count):
        has_pair = run.has_pair()
        target, part = rng.choice(PHASES), rng.random()
        # A quarter of the kills may precede the first checkpoint. After that, one process survives until it is saved.
        waits = not has_pair and number >= count // 4
        if waits:
            target = "step"
        run.start()
        while run.phase() != target or (waits and not run.has_pair()):
            status = run.wait(block=False)
            if status == 0:
                return kills, starts
            assert status is None, run.text()
            time.sleep(0.002)
        delay = part * seconds[target]
        time.sleep(delay)
        if not run.kill():
            return kills, starts
        phase, text = run.phase(), run.text()
        print(f"kill {number + 1}: {delay:.3f} s after the start of the {target}, in the {phase}", flush=True)
        # The machine's speed varies. The longest delay converges to about 1.6 times the phase.
        seconds[target] *= 1.25 if phase == target else 0.7
        kills[phase] += 1
        assert "rror" not in text, text
        if phase != "start-up":
            assert ("resumed after epoch" in text) == has_pair, text
            starts["resumed" if has_pair else "started fresh"] += 1
        if phase == "step":  # as if killed while writing this line of the log
            with (run.output / "nvlog.json").open("a") as log:
                log.write('DLLL {"timestamp": "17')
    return kills, starts


def check_equal(undisturbed: Path, killed: Path, epochs: int) -> None:
    """Compare the last pairs and all logged steps, and check that killed saves leave no files."""
    names = sorted(path.name for path in undisturbed.iterdir())
    assert names == sorted(path.name for path in killed.iterdir())
    pairs = [name for name in names if name.endswith(".pt")]
    assert len(pairs) == 4, pairs
    for name in pairs:
        ours, theirs = (torch.load(folder / name, weights_only=True) for folder in (killed, undisturbed))
        different = [key for key in theirs.keys() | ours.keys() if not same(ours.get(key), theirs.get(key))]
        assert not different, (name, different)
    ours, theirs = (read_curves(folder / "nvlog.json") for folder in (killed, undisturbed))
    assert len(theirs["train_d_loss"][0]) == epochs
    for metric in ("train_d_loss", "train_g_loss", "train_mel_loss", "train_lrate_gen", "val_mel_loss"):
        assert ours[metric] == theirs[metric], metric


def same(a: Any, b: Any) -> bool:
    """Whether two nested values are bit-identical."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def _train(argv: list[str]) -> NoReturn:
    """Run `python train.py` in a forked process."""
    status = 1
    try:
        run_program(lambda: train.main(argv), "train.py")
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
