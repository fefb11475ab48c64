"""Memory does not grow during training.

The test gives discriminators an eighth of their channels. To run it by hand with full discriminators and for longer:

    OMP_NUM_THREADS=1 python -m tests.programs.train.test_memory FOLDER --steps 500 --plain
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import train
from hifigan import discriminators
from tests.support.data_sets import write_data_set
from tests.support.models import thin_layers
from tests.support.paths import REPOSITORY
from tests.support.programs import train_arguments

STATUS = Path("/proc/self/status")
STEPS_PER_EPOCH = 50
WARM_UP_STEPS = 100  # until the allocator has grown to what any step, validation and save needs


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="this system has no /proc")
def test_memory_does_not_grow_with_the_steps(tmp_path):
    """Runs in a separate process with one thread, free of allocations by other tests and threads."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.programs.train.test_memory", tmp_path, "--steps", "250"],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    growth = float(done.stdout.rsplit("growth ", 1)[1].split()[0])
    # Noise is below 1. Leaking a batch and its mel in every step would give 4, and their autograd graph 30.
    assert growth < 2.5, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--plain", action="store_true", help="real discriminators")
    args = parser.parse_args()
    if not args.plain:
        for name, layer in thin_layers().items():
            setattr(discriminators, name, layer)
    resident = resident_after_steps(args.folder, args.steps)
    steps = np.arange(len(resident))
    growth = 100 * np.polyfit(steps[WARM_UP_STEPS:], resident[WARM_UP_STEPS:], 1)[0]
    for step in range(0, len(resident), max(1, len(resident) // 20)):
        print(f"step {step + 1:>5} {resident[step]:>8.1f} MB")
    print(f"step {len(resident):>5} {resident[-1]:>8.1f} MB; growth {growth:.2f} MB in 100 steps after {WARM_UP_STEPS}")


def resident_after_steps(folder: Path, steps: int) -> list[float]:
    """Train in this process and return its resident memory in MB after each optimiser step."""
    data_set = write_data_set(folder / "set", [0.5] * (STEPS_PER_EPOCH + 2))
    found: list[float] = []
    step_of_training = train.generator_step

    def measured(*args, **kwargs):
        result = step_of_training(*args, **kwargs)
        found.append(resident_mb())
        return result

    train.generator_step = measured
    epochs = steps // STEPS_PER_EPOCH
    intervals = dict.fromkeys(("validation_interval", "samples_interval", "checkpoint_interval"), 1)
    train.main(train_arguments(data_set, folder / "out", epochs=epochs, segment_size=8192, **intervals))
    return found


def resident_mb() -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
