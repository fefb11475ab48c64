"""Figures computed from measured rounds."""

import math

import pytest

from benchmarks.inference.figures import summarise
from benchmarks.inference.rounds import Case, Task, TaskTimes
from common.audio import AudioConfig


def test_figures():
    case = Case([None, None])
    tasks = [
        Task("V1", way, precision, case, 0.0, list, list)
        for way, precision in (("eager fp32", "fp32"), ("TorchScript fp16 autocast", "fp16"), ("engine fp16", "fp16"))
    ]
    measured = [
        TaskTimes([1.0, 3.0, 2.0], [3.0, 3.0, 3.0], 300),
        TaskTimes([1.0] * 3, [1.0, 0.5, 1.5], 300),
        TaskTimes([1.0] * 3, [0.5, 0.5, 4.0], 300),
    ]
    rows = summarise(tasks, measured, {"V1": AudioConfig()}, {"V1": 1000}, {"fp32": 1e5, "fp16": 4e5}, speaks=True)
    assert rows[0]["latency"] == [4.0, 6.0, 5.0]  # sums of both models in the same round
    assert rows[0]["mel_gen_frames/s"] == 50
    assert rows[0]["hifigan_samples/s"] == pytest.approx(300 * 256 / 9)
    assert rows[0]["throughput"] == 300 * 256 / 15
    assert rows[0]["RTF"] == pytest.approx(300 * 256 / 22050 / 15 / 2)
    # Medians of 2, 4, 2 and of 2.7, 4, 1.
    assert [row["speed-up"] for row in rows] == [None, 2.0, pytest.approx(4 / 1.5)]
    assert [row["over_torchscript_half"] for row in rows] == [0.5, None, 1.0]
    # 100 frames with 1000 operations each, in the vocoder's median time.
    assert [row["share_of_limit"] for row in rows] == pytest.approx([1e5 / 3 / 1e5, 1e5 / 1 / 4e5, 1e5 / 0.5 / 4e5])
    alone = summarise(tasks, measured, {"V1": AudioConfig()}, {"V1": 1000}, {}, speaks=False)
    assert alone[0]["latency"] == [3.0, 3.0, 3.0]
    assert alone[0]["share_of_limit"] is None
    assert math.isclose(alone[1]["speed-up"], 3.0)
