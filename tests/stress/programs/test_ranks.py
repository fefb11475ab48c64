"""A job of inference.py on two processes, one of which is killed: the other ends, and the next start completes it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.stress.programs.inputs import Inputs
from tests.stress.programs.victims import contents, differences
from tests.support.paths import REPOSITORY
from tests.support.stress import cases, record

LAUNCHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def start(inputs: Inputs, output: Path, *launcher: str) -> subprocess.Popen[str]:
    words = [*launcher, "inference.py", "--hifigan", str(inputs.vocoder), "--fastpitch", str(inputs.fastpitch)]
    words += ["-i", str(inputs.texts), "-o", str(output), "--batch-size", "1", "--speaker", "1"]
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def ranks(launcher: int) -> list[int]:
    words = subprocess.run(["pgrep", "-P", str(launcher)], capture_output=True, text=True).stdout.split()
    return [int(word) for word in words]


@pytest.mark.slow
def test_one_of_two_is_killed(tmp_path: Path, inputs: Inputs) -> None:
    one = start(inputs, tmp_path / "one")
    assert one.communicate()[1] is not None
    assert one.returncode == 0
    expected = contents(tmp_path / "one", ("nvlog_infer.json",))
    numbers = random.Random(0)
    kills = 0
    for case in range(cases(1, 4)):
        output = tmp_path / f"two{case}"
        process = start(inputs, output, *LAUNCHER)
        deadline = time.monotonic() + 120
        while not list(output.rglob("*.wav")) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        time.sleep(numbers.uniform(0, 0.3))
        if found := ranks(process.pid):
            os.kill(numbers.choice(found), signal.SIGKILL)
            kills += 1
        stderr = process.communicate(timeout=240)[1]
        assert process.returncode in (0, 1), stderr
        wrong = [n for n, content in contents(output).items() if n.endswith(".wav") and expected.get(n) != content]
        assert not [name for name in wrong if not Path(name).name.startswith(".")], wrong
        again = start(inputs, output)
        stderr = again.communicate(timeout=240)[1]
        assert again.returncode == 0, stderr
        assert not (wrong := differences(contents(output, ("nvlog_infer.json",)), expected)), wrong
    record(
        "inference.py under torchrun: one of two processes is killed, and one process completes the job",
        kills,
        "equal files",
    )
