"""`--deterministic`: a run has equal bits twice, whatever loads its data and in whatever order Python hashes.

Compared are whole checkpoints (weights, optimisers, position) and the logged losses.
"""

import itertools

import pytest
import torch

import train
from fastpitch import train as fastpitch_train
from hifigan import discriminators
from hifigan.convolutions import choices
from hifigan.convolutions.passes import CONVOLUTION, PRODUCTS, Ways
from tests.stress.training.runs import same
from tests.support.data_sets import write_data_set, write_speech_set
from tests.support.models import thin_layers
from tests.support.programs import fastpitch_arguments, log_records, train_arguments
from tests.support.stress import FULL, cases, record
from tests.support.training import finished, train_process

LIGHT = ("-m", "tests.support.long_runs.light_training")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
EPOCHS = cases(2, 10)
STEPS_PER_EPOCH = cases(2, 4)
CLIPS = [0.12] * (2 * STEPS_PER_EPOCH) + [0.2, 0.12]


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    return write_data_set(tmp_path_factory.mktemp("data") / "set", CLIPS)


@pytest.fixture(scope="module")
def speech_set(tmp_path_factory):
    seconds = [0.5 + 0.05 * i for i in range(2 * STEPS_PER_EPOCH + 2)]
    return write_speech_set(tmp_path_factory.mktemp("speech") / "set", seconds)


@pytest.fixture
def thin_discriminators(monkeypatch):
    for name, layer in thin_layers().items():
        monkeypatch.setattr(discriminators, name, layer)


def arguments(data_set, output, **changes):
    """Return a command line with two micro-batches in each step, whoever computes them."""
    fixed = {"epochs": EPOCHS, "segment_size": 1024, "ema": 0.9, "global_batch_size": 2, "deterministic": True}
    return train_arguments(data_set, output, **fixed, **changes)


def speech_arguments(speech_set, output, **changes):
    fixed = {"epochs": EPOCHS, "global_batch_size": 2, "deterministic": True}
    return fastpitch_arguments(speech_set, output, **fixed, **changes)


def run(words, **variables):
    status, _, stderr = finished(train_process(*words, variables=variables))
    assert status == 0, stderr


def differing(first, second):
    """Return the checkpoint entries and logged losses that differ between two runs."""
    found = []
    names = sorted(path.name for path in first.glob("*.pt"))
    assert names
    assert names == sorted(path.name for path in second.glob("*.pt"))
    for name in names:
        ours, theirs = (torch.load(folder / name, weights_only=True) for folder in (first, second))
        for content in (
            ours,
            theirs,
        ):  # PyTorch's loaders draw seeds for their processes from it, and nothing else does
            content.pop("rng", None)
        found += [f"{name}: {key}" for key in ours.keys() | theirs.keys() if not same(ours.get(key), theirs.get(key))]
    for ours, theirs in itertools.zip_longest(*(log_records(folder / "nvlog.json") for folder in (first, second))):
        losses = [{k: v for k, v in row["data"].items() if k.endswith("_loss")} for row in (ours, theirs)]
        if losses[0] != losses[1]:
            found.append(f"losses of step {ours['step']}")
    return found


VARIANTS = {
    "no loader": ({"num_workers": 0}, {"PYTHONHASHSEED": "1"}),
    "a loader": ({"num_workers": 1}, {"PYTHONHASHSEED": "2"}),
    "three loaders": ({"num_workers": 3}, {}),
    "clips in memory": ({"dataset_cache": "ram"}, {"PYTHONHASHSEED": "3"}),
}


@pytest.mark.slow
@pytest.mark.alone
def test_the_vocoder(data_set, tmp_path):
    chosen = list(VARIANTS.items()) if FULL else list(VARIANTS.items())[::2]
    for name, (changes, variables) in chosen:
        run([*LIGHT, *arguments(data_set, tmp_path / name, **changes)], **variables)
    for name, _ in chosen[1:]:
        assert differing(tmp_path / chosen[0][0], tmp_path / name) == [], name
    steps = EPOCHS * STEPS_PER_EPOCH
    record("training the vocoder has equal bits twice", len(chosen), f"equal after {steps} steps")


@pytest.mark.slow
def test_fastpitch(speech_set, one_thread, tmp_path):
    chosen = list(VARIANTS.items()) if FULL else list(VARIANTS.items())[::2]
    for name, (changes, variables) in chosen:
        argv = speech_arguments(speech_set, tmp_path / name, **changes)
        if FULL:
            run(["-m", "fastpitch.train", *argv], **variables)
        else:
            try:
                assert fastpitch_train.main(argv) == 0
                assert torch.are_deterministic_algorithms_enabled()
            finally:
                torch.use_deterministic_algorithms(False)
    for name, _ in chosen[1:]:
        assert differing(tmp_path / chosen[0][0], tmp_path / name) == [], name
    steps = EPOCHS * STEPS_PER_EPOCH
    record("training FastPitch has equal bits twice", len(chosen), f"equal after {steps} steps")


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(not FULL, reason="runs for half a minute; scripts/stress.sh runs it")
@pytest.mark.parametrize("program", ["vocoder", "fastpitch"])
def test_several_processes_and_threads(program, data_set, speech_set, tmp_path):
    """Two processes twice, two threads twice, and both programs against one process with the same global batch."""

    def words(name, **changes):
        if program == "vocoder":
            return [*LIGHT, *arguments(data_set, tmp_path / name, **changes)]
        return ["-m", "fastpitch.train", *speech_arguments(speech_set, tmp_path / name, **changes)]

    run(words("one"))
    for name in ("two", "two again"):
        run([*TORCHRUN, *words(name, num_workers=1)])
    for name in ("threads", "threads again"):
        run(words(name), OMP_NUM_THREADS="2")
    assert differing(tmp_path / "two", tmp_path / "two again") == []
    assert differing(tmp_path / "threads", tmp_path / "threads again") == []
    as_one = differing(tmp_path / "one", tmp_path / "two")
    record(
        f"two processes, and two threads, train the {program} with equal bits twice",
        2,
        f"equal; one process and two differ in {len(as_one)} entries: {', '.join(as_one[:4])}",
    )


@pytest.mark.slow
def test_formulations_in_bf16_are_fixed(data_set, thin_discriminators, one_thread, tmp_path, monkeypatch):
    """Without the flag they are measured, so that a disturbed measurement changes the rounding of a whole run."""
    monkeypatch.setattr(choices, "MIN_FLOP", 1000)
    results = {}
    for deterministic in (False, True):
        for number, way in enumerate((CONVOLUTION, PRODUCTS)):
            monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache {number}"))
            measured = []
            monkeypatch.setattr(
                choices, "measure", lambda case, clock, way=way, seen=measured: seen.append(case) or Ways(way, way, way)
            )
            output = tmp_path / f"{deterministic} {number}"
            argv = train_arguments(data_set, output, epochs=1, segment_size=2048, batch_size=4, amp=True)
            try:
                assert train.main([*argv, *(["--deterministic"] if deterministic else [])]) == 0
            finally:
                torch.use_deterministic_algorithms(False)
            assert bool(measured) == (not deterministic)
        results[deterministic] = differing(tmp_path / f"{deterministic} 0", tmp_path / f"{deterministic} 1")
    assert results[False] != []
    assert results[True] == []
    record("bf16 on a CPU has equal bits with any cache of measurements", 2, "equal; without the flag they may differ")
