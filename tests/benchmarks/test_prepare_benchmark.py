"""Tables of the benchmark of prepare_dataset.py, and the comparison with librosa's pitch."""

import numpy as np
import pytest
import soundfile

from benchmarks.prepare_benchmark import (
    PreparationVariant,
    count_differing_frames,
    measure,
    pitch_table,
    program_table,
    whole_programs,
)


def test_frames_that_differ_are_counted(tmp_path):
    for name, f0 in (("librosa", [0, 100, 200, 0]), ("ours", [0, 100.0005, 201, 150])):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "a.npy", np.array(f0))
    assert count_differing_frames([tmp_path / "a.wav"], tmp_path) == (2, 4)


def test_a_data_set_of_links(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(22050), 22050)
    variants = whole_programs([tmp_path / "a.wav"], copies=3, n_workers=2, folder=tmp_path)
    assert len(list((tmp_path / "data").rglob("*.wav"))) == 3
    assert [variant.name for variant in variants] == [
        "mels, 1 process",
        "mels, 2 processes",
        "pitch, 1 process",
        "pitch, 2 processes",
    ]
    assert {variant.audio_sec for variant in variants} == {3.0}


def test_tables():
    """Half an hour of audio: medians over rounds, and ratios round by round."""
    slow = PreparationVariant("slow", 1800.0, lambda: None, [20.0, 40.0, 30.0], [10.0, 10.0, 12.0])
    fast = PreparationVariant("fast", 1800.0, lambda: None, [10.0, 10.0, 10.0], [5.0, 5.0, 5.0])
    assert program_table([slow], clips=4, copies=2)[-1] == "| slow | 30.0 (40.0) | 60 | 20.0 | 24.0 min |"
    assert pitch_table([slow, fast], clips=4)[-2:] == [
        "| slow | 30.00 | 20 | 1.0 |",
        "| fast | 10.00 | 10 | 3.0 |",
    ]


def test_a_round_is_timed():
    variant = PreparationVariant("nothing", 1.0, lambda: None)
    measure(variant)
    assert variant.wall_sec[0] >= 0
    assert variant.cpu_sec == [pytest.approx(0, abs=0.1)]
