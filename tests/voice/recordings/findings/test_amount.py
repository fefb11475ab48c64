"""Too little speech is refused with the amounts, and the nearest measured amounts tell what to expect."""

import pytest

from common.errors import InputError
from voice.recordings.findings import amount
from voice.recordings.findings.amount import EXPECTATIONS, Expectation, describe_amount, require_enough


def test_too_little_speech():
    require_enough(1.0, 20, 0)
    with pytest.raises(
        InputError, match=r"^59 seconds of usable speech are too little for a voice: it takes 60 seconds"
    ):
        require_enough(0.99, 100, 0)
    with pytest.raises(
        InputError, match=r"^19 clips with different texts \(7 clips are skipped, see review.html\) are"
    ):
        require_enough(5.0, 19, 7)


def test_expectations_around_the_amount(monkeypatch):
    assert [item.minutes for item in EXPECTATIONS] == sorted(item.minutes for item in EXPECTATIONS)
    monkeypatch.setattr(amount, "EXPECTATIONS", (Expectation(5, "poor"), Expectation(15), Expectation(30, "good")))

    def nearest(minutes):
        return [line.strip() for line in describe_amount(minutes, 9)]

    assert nearest(2)[:2] == ["2.0 minutes of usable speech in 9 clips", "from 5 minutes: poor"]
    assert nearest(5)[1:3] == ["from 5 minutes: poor", "from 15 minutes: not measured yet"]
    assert nearest(29.9)[1:3] == ["from 15 minutes: not measured yet", "from 30 minutes: good"]
    assert nearest(200)[1:] == ["from 30 minutes: good"]
