"""Order and number of the inference benchmark's measurements."""

import pytest
import torch

from benchmarks.inference.rounds import MIN_ROUNDS, Case, Task, measure
from common.errors import InputError

CPU = torch.device("cpu")


def task(name, case, calls=None, vocoder=lambda given: given):
    def speak(inputs):
        if calls is not None:
            calls.append((name, id(inputs)))
        return inputs

    return Task("V1", name, "fp32", case, 0.0, speak, vocoder)


def test_tasks_take_turns_and_warm_up_with_the_same_inputs():
    calls = []
    mels = [torch.zeros(80, 3), torch.zeros(80, 5)]
    cases = [Case(mels), Case(mels[:1])]
    measured = measure([task(name, case, calls) for case in cases for name in "ab"], 1, 2, CPU)
    one_round = [(name, id(case.inputs)) for case in cases for name in "ab"]
    assert calls == 3 * one_round
    assert [figures.frames for figures in measured] == [16, 16, 6, 6]  # two rounds, without padding
    assert all(len(figures.vocoding_sec) == 2 for figures in measured)


def test_no_round_begins_when_the_time_is_over():
    (measured,) = measure([task("a", Case([torch.zeros(80, 3)]))], 2, 100, CPU, minutes=0)
    assert len(measured.vocoding_sec) == MIN_ROUNDS


def test_a_batch_beyond_the_memory_is_named():
    def run_out(mels):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(InputError, match=r"^--batch-size: 2 utterances do not fit into the GPU's memory$"):
        measure([task("a", Case([torch.zeros(80, 3)] * 2), vocoder=run_out)], 0, 1, CPU)
