"""Run train.py, and read what it wrote."""

import json
import os
import subprocess
import sys

import pytest
import torch

import train
from common import distributed
from common.cli import run as run_program
from common.training.checkpoint_store import CheckpointStore
from hifigan.training.flags import VocoderDataConfig, parse_train_config
from hifigan.training.state import CHECKPOINT_FILES, VocoderTrainState
from tests.support.paths import REPOSITORY
from tests.support.programs import train_arguments

LISTS = VocoderDataConfig(training_files=("train.txt",), validation_files=("val.txt",))


THIN = ("-m", "tests.support.long_runs.thin_training")  # in place of train.py: checkpoints of 14 MB instead of 850


def train_process(*args, variables=None, **kwargs):
    """Start Python with these arguments in the repository, on one thread and without a GPU."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **(variables or {})}
    return subprocess.Popen(
        [sys.executable, *args],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def finished(process):
    stdout, stderr = process.communicate(timeout=500)
    return process.returncode, stdout, stderr


def weights(output, epoch):
    gen = torch.load(output / f"hifigan_gen_checkpoint_{epoch}.pt", weights_only=True)
    discrim = torch.load(output / f"hifigan_discrim_checkpoint_{epoch}.pt", weights_only=True)
    return {**gen["generator"], **discrim["mpd"], **{f"msd.{k}": v for k, v in discrim["msd"].items()}}, gen, discrim


def train_losses(output):
    records = [json.loads(line.removeprefix("DLLL ")) for line in (output / "nvlog.json").read_text().splitlines()]
    return [
        [record["data"][f"train_{name}"] for name in ("d_loss", "g_loss", "mel_loss")]
        for record in records
        if "train_d_loss" in record["data"]
    ]


def run_main(argv, capsys):
    """Run the program and return its exit status and stderr."""
    with pytest.raises(SystemExit) as stopped:
        run_program(lambda: train.main(argv), "train.py")
    return stopped.value.code, capsys.readouterr().err.strip()


def saved_state(data_set, output, **changes):
    """Write a new run's first checkpoint pair, and return its state and configuration."""
    cfg = parse_train_config(train_arguments(data_set, output, **changes))
    state = VocoderTrainState(cfg, distributed.init(cuda=False), "clips")
    state.start_ema()
    state.end_epoch()
    state.save(CheckpointStore(output, CHECKPOINT_FILES))
    return state, cfg
