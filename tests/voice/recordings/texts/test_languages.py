"""Recordings in another language than asked for."""

import pytest

from common.errors import InputError
from tests.support.recordings.recogniser import FakeWhisper, install, write_clip
from voice.recordings.segment import Segment
from voice.recordings.texts.languages import find_foreign_clips, find_foreign_recordings
from voice.recordings.texts.recognition import Transcriber

LENGTHS = {"german.mp3": 110, "english.mp3": 105, "short.mp3": 30}  # tenths of a second of each of three clips


@pytest.fixture
def transcriber(monkeypatch, tmp_path):
    name = install(monkeypatch, FakeWhisper({}, languages={330: "de", 30: "de", 90: "de"}), tmp_path / "model")
    for recording, tenths in LENGTHS.items():
        for number in range(3):
            write_clip(tmp_path, f"{recording}{number}", tenths)
    return Transcriber.open(name, "en", tmp_path, 1)


def segments(*recordings):
    places = [(name, i, 20.0 * i) for name in recordings for i in range(3)]
    return [Segment(f"{name}{i}", name, start, start + LENGTHS[name] / 10) for name, i, start in places]


def test_long_recordings(transcriber, caplog):
    assert find_foreign_recordings(segments(*LENGTHS), transcriber) == {"german.mp3": "de"}
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith("german.mp3: sounds like language 'de' (90 % sure), not 'en': not used; give --language")
    with pytest.raises(InputError, match=r"german\.mp3: all recordings sound like language de, not en; give --lang"):
        find_foreign_recordings(segments("german.mp3"), transcriber)


def test_clips(transcriber):
    assert find_foreign_clips(["short.mp30", "english.mp30"], transcriber) == {"short.mp30": "de"}
    transcriber.model.multilingual = False
    assert find_foreign_clips(["german.mp30"], transcriber) == {}
