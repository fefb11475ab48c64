"""Segments with texts from several sources."""

import dataclasses

import pytest

from common.errors import InputError
from common.recognition import whisper
from tests.support.recordings.recogniser import FakeWhisper, install, write_clip
from voice.recordings.flags import RecordingsConfig
from voice.recordings.segment import GIVEN, RECOGNISED, Cue, Segment, Transcript
from voice.recordings.texts.add import add_texts, choose_model

LENGTHS = {"a": 15, "b": 20, "c": 25, "d": 30}  # tenths of a second


@pytest.fixture
def model(monkeypatch, tmp_path):
    found = FakeWhisper({15: "[Music] One is enough.", 20: "Two are better.", 25: "", 30: "Nobody knows what it is."})
    install(monkeypatch, found, tmp_path / "model")
    for clip, tenths in LENGTHS.items():
        write_clip(tmp_path, clip, tenths)
    return found


def segments(recording="r.m4a", **texts):
    return [
        Segment(c, recording, 5.0 * i, 5.0 * i + n / 10, "", texts.get(c, ""))
        for i, (c, n) in enumerate(LENGTHS.items())
    ]


def add(found, tmp_path, transcripts=None, **settings):
    cfg = RecordingsConfig(transcriber=str(tmp_path / "model"), **settings)
    return add_texts(found, transcripts or {}, tmp_path, cfg, jobs=1)


def test_what_is_missing_is_written_down(model, tmp_path):
    model.probabilities[30] = 0.4
    a, b, c, d = add(segments(b="A text of its own."), tmp_path)
    assert b == segments(b="A text of its own.")[1]
    assert (a.text, a.source, a.confidence, a.use, a.remarks) == ("One is enough.", RECOGNISED, 0.9, True, ())
    assert (c.text, c.source, c.confidence, c.use, c.remarks) == ("", "", 0.0, False, ("no words",))
    assert (d.text, d.confidence, d.use, d.remarks) == ("Nobody knows what it is.", 0.4, True, ("low confidence",))
    assert sorted(model.calls) == [15, 25, 30]


def test_a_recording_of_one_segment_has_its_text(model, tmp_path, monkeypatch):
    monkeypatch.setattr(whisper, "is_installed", lambda: False)
    (given,) = add(segments()[:1], tmp_path, {"r.m4a": Transcript("Enough.")})
    assert (given.text, given.source, given.confidence) == ("Enough.", GIVEN, None)


def test_no_recogniser_and_no_texts(model, tmp_path, monkeypatch):
    monkeypatch.setattr(whisper, "is_installed", lambda: False)
    with pytest.raises(InputError, match="some recordings have no texts, and faster-whisper"):
        add(segments(), tmp_path)


def test_unsure_clips_are_asked_for_their_language(model, tmp_path):
    model.probabilities[30] = 0.4
    model.languages[30] = "de"
    *_, d = add(segments(), tmp_path)
    assert (d.use, d.remarks) == (False, ("another language: de", "low confidence"))
    assert sorted(model.detections) == [30]


def test_a_long_recording_in_another_language(model, tmp_path, caplog):
    long = []
    for recording, tenths in (("german.mp3", 110), ("english.mp3", 105)):
        for i in range(3):
            write_clip(tmp_path, clip := f"{recording}{i}", tenths)
            long.append(Segment(clip, recording, 20.0 * i, 20.0 * i + tenths / 10))
    model.languages = {330: "de"}
    model.texts = {105: "And this is what was said, as far as we know."}
    found = add(long, tmp_path)
    assert [segment.use for segment in found] == [False] * 3 + [True] * 3
    assert found[0].remarks == ("another language: de",)
    assert "german.mp3: sounds like language 'de' (90 % sure), not 'en': not used" in caplog.text
    assert 110 not in model.calls
    with pytest.raises(InputError, match=r"german\.mp3: all recordings sound like language de, not en; give"):
        add(long[:3], tmp_path)


def test_recordings_that_are_not_understood(model, tmp_path, caplog):
    model.probabilities = {15: 0.1, 20: 0.1, 30: 0.1}
    model.multilingual = False
    with pytest.raises(InputError, match=r"r\.m4a: nothing was understood as language en: perhaps another language"):
        add(segments(), tmp_path)
    write_clip(tmp_path, "e", 31)
    model.texts[31] = "But this one is clear enough."
    *rest, last = add([*segments(), Segment("e", "r.m4a", 30.0, 33.1)], tmp_path)
    assert last.use
    assert not any(segment.use for segment in rest)
    assert "r.m4a: 4 of 5 segments were not understood and are not used" in caplog.text


def test_a_long_text_is_aligned_and_a_fitting_cue_taken(model, tmp_path):
    pytest.importorskip("rapidfuzz")
    text = "One is *enough*, Two are better. Nobody knows what it is!"
    found = add(segments(), tmp_path, {"r.m4a": Transcript(text)})
    texts = ["One is *enough*,", "Two are better.", "", "Nobody knows what it is!"]
    assert [segment.text for segment in found] == texts
    assert [segment.source for segment in found] == [GIVEN, GIVEN, "", GIVEN]
    model.probabilities = {30: 0.1}
    last = dataclasses.replace(segments()[-1], remarks=("hum",))
    *_, found = add([*segments()[:-1], last], tmp_path, {"r.m4a": Transcript(text)})
    assert (found.text, found.use, found.remarks) == (texts[-1], True, ("hum",)), "what the recogniser says is as given"
    cued = Transcript(text, (Cue(5.0, 7.0, "From the cue."),))
    found = add(segments(), tmp_path, {"r.m4a": cued})
    assert [segment.text for segment in found] == ["One is enough.", "From the cue.", "", "Nobody knows what it is."]


def test_without_a_recogniser_subtitles_suffice(model, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(whisper, "is_installed", lambda: False)
    cues = (Cue(0.0, 1.6, "First."), Cue(5.0, 7.0, "Second."), Cue(10.0, 12.5, "Third."))
    *rest, last = add(segments(), tmp_path, {"r.m4a": Transcript("First. Second. Third.", cues)})
    assert [segment.text for segment in rest] == ["First.", "Second.", "Third."]
    assert (last.text, last.use, last.remarks) == ("", False, ("subtitles do not fit",))
    assert "1 of 4 segments have no text, or subtitles that do not fit" in caplog.text
    with pytest.raises(InputError, match="faster-whisper"):
        add(segments(), tmp_path, {"r.m4a": Transcript("First.", cues[:1])})


def test_default_models():
    assert choose_model(RecordingsConfig()) == "small.en"
    assert choose_model(RecordingsConfig(language="de", prepare_only=True)) == "small"
    assert choose_model(RecordingsConfig(transcriber="tiny")) == "tiny"
