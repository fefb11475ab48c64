"""Order of measurement and figures of the inference benchmark."""

import math

import pytest
import torch

from benchmarks.inference.figures import summarised
from benchmarks.inference.rounds import LEAST_ROUNDS, Case, Measured, Task, measure
from common.audio import AudioConfig
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
    assert [figures.frames for figures in measured] == [16, 16, 6, 6]  # of two rounds, unpadded
    assert all(len(figures.vocoding_sec) == 2 for figures in measured)


def test_no_round_begins_when_the_time_is_over():
    (measured,) = measure([task("a", Case([torch.zeros(80, 3)]))], 2, 100, CPU, minutes=0)
    assert len(measured.vocoding_sec) == LEAST_ROUNDS


def test_a_batch_beyond_the_memory_is_named():
    def run_out(mels):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(InputError, match=r"^--batch-size: 2 utterances do not fit into the GPU's memory$"):
        measure([task("a", Case([torch.zeros(80, 3)] * 2), vocoder=run_out)], 0, 1, CPU)


def test_figures():
    case = Case([None, None])
    tasks = [
        Task("V1", way, precision, case, 0.0, list, list)
        for way, precision in (("eager fp32", "fp32"), ("TorchScript fp16 autocast", "fp16"), ("engine fp16", "fp16"))
    ]
    measured = [
        Measured([1.0, 3.0, 2.0], [3.0, 3.0, 3.0], 300),
        Measured([1.0] * 3, [1.0, 0.5, 1.5], 300),
        Measured([1.0] * 3, [0.5, 0.5, 4.0], 300),
    ]
    rows = summarised(tasks, measured, {"V1": AudioConfig()}, {"V1": 1000}, {"fp32": 1e5, "fp16": 4e5}, speaks=True)
    assert rows[0]["latency"] == [4.0, 6.0, 5.0]  # both models of the same round
    assert rows[0]["mel_gen_frames/s"] == 50
    assert rows[0]["hifigan_samples/s"] == pytest.approx(300 * 256 / 9)
    assert rows[0]["throughput"] == 300 * 256 / 15
    assert rows[0]["RTF"] == pytest.approx(300 * 256 / 22050 / 15 / 2)
    assert [row["speed-up"] for row in rows] == [None, 2.0, pytest.approx(4 / 1.5)]  # of 2, 4, 2; of 2.7, 4, 1
    assert [row["over_torchscript_half"] for row in rows] == [0.5, None, 1.0]
    # 100 frames of 1000 operations in the vocoder's median time.
    assert [row["share_of_limit"] for row in rows] == pytest.approx([1e5 / 3 / 1e5, 1e5 / 1 / 4e5, 1e5 / 0.5 / 4e5])
    alone = summarised(tasks, measured, {"V1": AudioConfig()}, {"V1": 1000}, {}, speaks=False)
    assert alone[0]["latency"] == [3.0, 3.0, 3.0]
    assert alone[0]["share_of_limit"] is None
    assert math.isclose(alone[1]["speed-up"], 3.0)
