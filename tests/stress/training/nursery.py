"""Training runs that start in a tenth of a second, and meet with faults: `python -m tests.stress.training.nursery`.

This process imports everything, with thin discriminators, and forks a run for each line that it gets on standard input.
It computes nothing itself, since a fork of a process with threads may hang. A line is a JSON object:

    {"start": [arguments of train.py], "variables": {...}, "output": FILE, "fault": "name", "values": {...}}  -> pid
    {"wait": pid, "block": true}  -> exit status, negative for a signal, or null while it runs
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import train
from common.cli import run as run_program
from hifigan import discriminators
from tests.stress.training import faults
from tests.support.models import thin_layers
from tests.support.paths import REPOSITORY


class Nursery:
    """The process, from outside."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.stress.training.nursery"],
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        self._process.communicate()

    def ask(self, **question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question, default=str) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def main() -> None:
    for name, layer in thin_layers().items():
        setattr(discriminators, name, layer)
    for module in (
        "encodings.utf_8_sig",
        "hifigan.training.discriminator_files",
        "numpy.fft",
        "torch._dynamo",
        "torch.distributed.nn.functional",
        "torch.utils.tensorboard",
    ):
        importlib.import_module(module)  # what the program imports lazily
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    started = []
    for line in sys.stdin:
        question = json.loads(line)
        if "start" in question:
            if (child := os.fork()) == 0:
                answers.close()
                _train(question)
            started.append(child)
            answer: int | None = child
        else:
            pid, status = os.waitpid(question["wait"], 0 if question["block"] else os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        print(json.dumps(answer), file=answers, flush=True)
    for pid in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _train(question: Mapping[str, Any]) -> NoReturn:
    """Run `python train.py` in a forked process, in its own session."""
    status = 1
    try:
        os.setsid()
        os.environ.update(question["variables"])
        with Path(question["output"]).open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if question["fault"]:
            getattr(faults, question["fault"])(**question["values"])
        run_program(lambda: train.main(question["start"]), "train.py")
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        faults.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
