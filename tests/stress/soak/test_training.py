"""Long training runs: memory, files, threads and the time of a step stay constant.

The bounds: a run of 5,000 steps with validation, samples and a save each 50 steps grows by less than 1 MB per 1,000
steps. 4 MB per 1,000 are allowed, and a leak of 10 kB per step would be 10.
"""

import pytest

from tests.support.data_sets import write_data_set, write_speech_set
from tests.support.long_runs.sampling import FULL_ONLY, PROC, LineCounter, check, watch
from tests.support.programs import fastpitch_arguments, train_arguments
from tests.support.stress import cases

pytestmark = pytest.mark.skipif(not PROC.exists(), reason="this system has no /proc")
EVERY_EPOCH = dict.fromkeys(("validation_interval", "samples_interval", "checkpoint_interval"), 1)


@pytest.mark.slow
@pytest.mark.alone
def test_training_the_vocoder(tmp_path):
    """All of a real run: loader processes, validation, samples, TensorBoard, saves, and a moving average."""
    per_epoch = cases(10, 50)
    steps = cases(60, 5000)
    data_set = write_data_set(tmp_path / "set", [0.3] * (per_epoch + 2))
    argv = train_arguments(
        data_set,
        tmp_path / "out",
        epochs=steps // per_epoch,
        segment_size=512,
        discriminator_width=0.125,
        num_workers=2,
        ema=0.99,
        **EVERY_EPOCH,
    )
    done = LineCounter(tmp_path / "run" / "stdout", " | iter ")
    soak = watch(["-m", "tests.support.long_runs.light_training", *argv], tmp_path / "run", done, cases(1, 20) / 10)
    assert done() == steps
    check("training the vocoder leaks nothing", soak, steps, warm_up=steps // 4)


@pytest.mark.slow
@pytest.mark.alone
@FULL_ONLY
def test_training_fastpitch(tmp_path):
    """Batches differ in length, and so do the kernels that PyTorch prepares for them."""
    per_epoch = cases(10, 40)
    steps = cases(60, 1000)
    data_set = write_speech_set(tmp_path / "set", [0.5 + 0.08 * (i % 20) for i in range(2)])
    argv = fastpitch_arguments(data_set, tmp_path / "out", epochs=steps // per_epoch, num_workers=2, **EVERY_EPOCH)
    done = LineCounter(tmp_path / "run" / "stdout", " | iter ")
    soak = watch(["-m", "fastpitch.train", *argv], tmp_path / "run", done, cases(1, 10) / 10)
    assert done() == steps
    check("training FastPitch leaks nothing", soak, steps, warm_up=steps // 4)
