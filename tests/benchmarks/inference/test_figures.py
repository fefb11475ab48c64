"""Figures computed from the records of measured rounds."""

import math

import pytest

from benchmarks.inference.figures import collect, summarise

MODELS = {"V1": {"sampling_rate": 22050, "hop_length": 256, "flop_per_frame": 1000}}


def record(place, way, precision, speaking_sec, vocoding_sec, speaks=True):
    case = {"model": "V1", "batch_size": 2, "length": 0, "denoised": False, "strength": 0.0, "peak_bytes": 0}
    times = {"speaking_sec": speaking_sec, "vocoding_sec": vocoding_sec, "frames": 100 * len(vocoding_sec)}
    more = {"first_sec": 9.0, "made_sec": 8.0, "snr_db": 50.0, "speaks": speaks}
    return {"kind": "row", "place": place, "way": way, "precision": precision, **case, **times, **more}


def records(speaks=True):
    return [
        record(2, "engine fp16", "fp16", [1.0] * 3, [0.5, 0.5, 4.0], speaks),
        record(0, "eager fp32", "fp32", [1.0, 3.0, 2.0], [3.0, 3.0, 3.0], speaks),
        record(1, "TorchScript fp16 autocast", "fp16", [1.0] * 3, [1.0, 0.5, 1.5], speaks),
    ]


def test_figures():
    rows = summarise(records(), MODELS, {"fp32": 1e5, "fp16": 4e5})
    assert [row["way"] for row in rows] == ["eager fp32", "TorchScript fp16 autocast", "engine fp16"]
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
    assert (rows[0]["first_sec"], rows[0]["made_sec"], rows[0]["snr_db"]) == (9.0, 8.0, 50.0)
    alone = summarise(records(speaks=False), MODELS, {})
    assert alone[0]["latency"] == [3.0, 3.0, 3.0]
    assert alone[0]["share_of_limit"] is None
    assert math.isclose(alone[1]["speed-up"], 3.0)


def test_ways_of_different_stages_are_compared_by_their_medians():
    measured = records()
    measured[0] |= {"speaking_sec": [1.0], "vocoding_sec": [1.5], "frames": 100}
    assert summarise(measured, MODELS, {})[2]["speed-up"] == 2.0


def test_results_of_a_journal():
    quality = {"snr_db": "nan", "lowest_snr_db": None, "mel_loss": 0.2, "mel_change_percent": 1.0}
    results = collect(
        [
            {"kind": "header", "entries": {"machine": "A"}},
            {"kind": "header", "entries": {"input": "B"}},
            {"kind": "model", "name": "V1", **MODELS["V1"]},
            {"kind": "peak", "precision": "fp16", "flop_per_sec": 2e9},
            {"kind": "peak", "precision": "fp16", "flop_per_sec": 1e9},
            {"kind": "skipped", "name": "x", "reason": "OpenVINO (not there)"},
            {"kind": "failed", "name": "V1, engine", "reason": "it hung"},
            {"kind": "quality", "name": "q", "model": "V1", "way": "engine", "figures": quality},
            {"kind": "start", "name": "s", "model": "V1", "figures": {"way": "", "seconds": [1.0], "peak_mib": None}},
            *records(),
        ]
    )
    assert results.header["machine"] == "A"
    assert results.header["arithmetic limit"].startswith("fp16 2 GFLOP/s")
    assert results.header["skipped"] == "OpenVINO (not there)"
    assert results.failures == ["V1, engine: it hung"]
    assert not results.quality["V1"]["engine"].passes  # NaN is no quality
    assert results.starts["V1"][0].seconds == [1.0]
    assert len(results.rows) == 3
