"""Command lines of the programs, and their output."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from common.cli import run
from tests.support.models import TINY, TINY_FASTPITCH

# Packages whose imports take seconds, or are not needed to answer.
SLOW = {"torch", "numpy", "scipy", "librosa", "matplotlib", "soundfile", "safetensors", "gradio", "huggingface_hub"}


def snr_db(exact: Tensor, made: Tensor) -> float:
    return 10 * torch.log10(exact.square().sum() / (made - exact).square().sum()).item()


def wavs(folder: Path) -> dict[str, np.ndarray]:
    return {
        path.relative_to(folder).with_suffix("").as_posix(): soundfile.read(path)[0] for path in folder.rglob("*.wav")
    }


def summary(output: Path) -> dict[str, float]:
    line = (output / "nvlog_infer.json").read_text().splitlines()[-1]
    return json.loads(line.removeprefix("DLLL "))["data"]


def log_records(path: Path) -> list[dict]:
    """Return the records of a log of DLLogger lines."""
    lines = path.read_text().splitlines()
    assert all(line.startswith("DLLL {") for line in lines)
    return [json.loads(line.removeprefix("DLLL ")) for line in lines]


def one_line_of_error(main: Callable[[list[str]], int], argv: list[str], capsys: Any, status: int = 1) -> str:
    """Run inference.py's `main` as from the command line, and return its single line of error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        run(lambda: main(argv), "inference.py")
    error = capsys.readouterr().err
    assert caught.value.code == status
    assert error.count("\n") == 1, error
    assert error.startswith("inference.py: error: ")
    return error


def train_arguments(data_set: Path, output: Path, **changes: object) -> list[str]:
    """Return a command line of train.py for a data set of `write_data_set`: TINY, the smallest segments, one process.

    A value of True stands for a flag without a value.
    """
    if "hifigan_config" not in changes:
        (data_set / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    options: dict[str, object] = {
        "output": output,
        "dataset_path": data_set,
        "training_files": data_set / "train.txt",
        "validation_files": data_set / "val.txt",
        "hifigan_config": data_set / "tiny.json",
        "batch_size": 1,
        "segment_size": 2048,
        "num_workers": 0,
        "epochs": 1,
        **changes,
    }
    return command_line(options)


def command_line(options: Mapping[str, object]) -> list[str]:
    """Return flags and their values. True stands for a flag without a value."""
    words = []
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return words


def fastpitch_arguments(data_set: Path, output: Path, **changes: object) -> list[str]:
    """Return a command line of fastpitch.train for a data set of `write_speech_set`: a tiny model of letters."""
    tiny = TINY_FASTPITCH.to_dict()
    for name in ("n_symbols", "padding_idx", "n_mel_channels", "n_speakers"):
        del tiny[name]
    (data_set / "tiny_fastpitch.json").write_text(json.dumps(tiny))
    options: dict[str, object] = {
        "output": output,
        "dataset_path": data_set,
        "training_files": data_set / "speech_train.txt",
        "validation_files": data_set / "speech_val.txt",
        "fastpitch_config": data_set / "tiny_fastpitch.json",
        "p_arpabet": 0,
        "batch_size": 1,
        "num_workers": 0,
        "epochs": 1,
        **changes,
    }
    return command_line(options)


def answer(words: list[str], folder: Path, variables: dict[str, str]) -> tuple[int, list[str], set[str]]:
    """Run a Python program. Return its status, the lines of both outputs, and the top-level packages it imported."""
    done = subprocess.run(
        words, cwd=folder, env={**variables, "PYTHONPROFILEIMPORTTIME": "1"}, capture_output=True, text=True
    )
    mark = "import time:"
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines() if mark in line}
    lines = [line for line in (done.stdout + done.stderr).splitlines() if mark not in line]
    return done.returncode, lines, imported
