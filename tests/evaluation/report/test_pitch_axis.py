"""All versions of a clip share one axis of pitch."""

import re

import numpy as np
import pytest

from evaluation.report.pitch_axis import HEIGHT, MARGIN, WIDTH, draw_pitch
from evaluation.voicing import PitchContour


def points(path):
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def test_one_axis_holds_all_versions():
    real, fake = np.array([0.0, 100.0, 200.0, 0.0, 0.0]), np.array([0.0, 0.0, 400.0, 400.0])
    axis = draw_pitch({"real": PitchContour(real, 1.0), "fake": PitchContour(fake, 1.0)})
    assert (axis.low_hz, axis.high_hz) == (pytest.approx(100 / MARGIN), pytest.approx(400 * MARGIN))
    (x, low), (_, middle) = points(axis.lines["real"])
    (_, high), _ = points(axis.lines["fake"])
    assert x == WIDTH / 4
    assert 0 < high < middle < low < HEIGHT, "higher pitch is further up"
    assert low - middle == pytest.approx(middle - high, abs=0.11), "an octave is as high anywhere"
    assert {mark.label: mark.percent for mark in axis.pitch_marks}["200"] == pytest.approx(middle, abs=0.06)
    assert [mark.label for mark in axis.pitch_marks] == ["100", "150", "200", "300", "400"]
    assert [mark.percent for mark in axis.time_marks][:3] == [0.0, 12.5, 25.0]


def test_unvoiced_frames_are_gaps():
    pitch = np.array([100.0, 0.0, 100.0, 100.0, 0.0])
    path = draw_pitch({"one": PitchContour(pitch, 1.0)}).lines["one"]
    assert (path.count("M"), path.count("L")) == (2, 1)


def test_nothing_voiced():
    assert draw_pitch({"one": PitchContour(np.zeros(5), 1.0)}) is None
    assert draw_pitch({}) is None


def test_versions_of_other_lengths_and_frames_share_the_time():
    """The same second is at the same place, whatever the length and the frames of a version."""
    long, short = np.full(9, 100.0), np.full(5, 200.0)
    axis = draw_pitch({"long": PitchContour(long, 0.5), "short": PitchContour(short, 0.25)})
    assert points(axis.lines["long"])[-1][0] == WIDTH  # at 4 s
    assert points(axis.lines["short"])[-1][0] == WIDTH / 4  # at 1 s
