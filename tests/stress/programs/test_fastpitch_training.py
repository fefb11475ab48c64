"""FastPitch's training, killed or stopped at random moments and started again, ends with the same weights."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.stress.programs.inputs import Inputs
from tests.stress.programs.victims import Program, Victim, finish
from tests.support.programs import fastpitch_arguments
from tests.support.stress import cases, record

EPOCHS = 3


def arguments(folder: Path, inputs: Inputs) -> list[str]:
    return fastpitch_arguments(
        inputs.data, folder / "out", epochs=EPOCHS, checkpoint_interval=1, validation_interval=1, ema=0.9
    )


TRAINING = Program("fastpitch.train", arguments)


def weights(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "out" / f"FastPitch_checkpoint_{EPOCHS}.pt", weights_only=True)


@pytest.mark.medium
def test_weights_are_those_of_an_undisturbed_run(tmp_path: Path, inputs: Inputs) -> None:
    whole = tmp_path / "whole"
    for _ in range(2):  # the first waits for imports
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir()
        began = time.monotonic()
        assert finish(TRAINING, whole, inputs).status == 0
        seconds = time.monotonic() - began
    expected = weights(whole)
    numbers = random.Random(0)
    kills = stops = runs = 0
    while kills + stops < cases(1, 12):
        folder = tmp_path / "disturbed"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for _ in range(3):
            number = numbers.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
            victim = Victim(TRAINING, folder, inputs)
            time.sleep(numbers.uniform(0.05, max(0.1, seconds)))
            victim.send(number)
            ended = victim.wait()
            assert ended.status in (0, 128 + number), ended
            assert not any("Traceback" in line for line in ended.lines), ended
            kills += ended.killed
            stops += ended.status == 128 + signal.SIGTERM
            if not ended.status:
                break
        again = finish(TRAINING, folder, inputs)
        assert again.status == 0, again
        runs += 1
        found = weights(folder)
        for state in ("state_dict", "ema_state_dict"):
            assert found[state].keys() == expected[state].keys()
            assert all(torch.equal(found[state][name], tensor) for name, tensor in expected[state].items())
        left = [path.name for path in (folder / "out").iterdir() if path.name.startswith(".") or ".tmp" in path.name]
        assert not left, left
    record(
        "fastpitch.train, killed or stopped at random moments, ends with the same weights",
        kills + stops,
        f"{kills} kills, {stops} stops, {runs} finished runs: equal weights and averages",
    )
