"""train.py with thin discriminators, in its own process: `python -m tests.support.long_runs.thin_training ARGUMENTS`.

With STOP_AFTER_STEP=N in the environment, the process sends SIGTERM to its group after step N of an epoch, as torchrun
and Slurm do to all processes of a job. With LOSE_AFTER_STEP=N, the file LOST vanishes after step N of epoch 2.
"""

import os
import signal
from pathlib import Path

import train
from common.cli import run
from common.training.log import RunLog
from hifigan import discriminators
from tests.support.models import thin_layers

log_train = RunLog.train


def log_train_and_stop(self, epoch, step, *args):
    log_train(self, epoch, step, *args)
    if step == int(os.environ["STOP_AFTER_STEP"]):
        os.killpg(0, signal.SIGTERM)


def log_train_and_lose(self, epoch, step, *args):
    log_train(self, epoch, step, *args)
    if (epoch, step) == (2, int(os.environ["LOSE_AFTER_STEP"])):
        Path(os.environ["LOST"]).unlink(missing_ok=True)  # every process logs


if __name__ == "__main__":
    for name, layer in thin_layers().items():
        setattr(discriminators, name, layer)
    if "STOP_AFTER_STEP" in os.environ:
        RunLog.train = log_train_and_stop  # type: ignore[method-assign]
    if "LOSE_AFTER_STEP" in os.environ:
        RunLog.train = log_train_and_lose  # type: ignore[method-assign]
    run(train.main, "train.py")
