"""Recognised texts are kept, and made again only if the audio or the model changes."""

import json

import pytest

from common.errors import InputError
from common.recognition import whisper
from tests.support.recordings.recogniser import FakeWhisper, install, write_clip
from voice.recordings.texts.recognition import Transcriber, detect_languages, recognise_clips


@pytest.fixture
def model(monkeypatch, tmp_path):
    found = FakeWhisper({10: "One.", 20: "Two two.", 25: "Another."})
    install(monkeypatch, found, tmp_path / "model")
    for clip, tenths in {"a": 10, "anna/b": 20}.items():
        write_clip(tmp_path, clip, tenths)
    return found


def open_transcriber(tmp_path, language="en"):
    return Transcriber.open(str(tmp_path / "model"), language, tmp_path, jobs=2)


def test_nothing_is_recognised_twice(model, tmp_path):
    heard = recognise_clips(["a", "anna/b"], open_transcriber(tmp_path))
    assert [heard[clip].text for clip in ("a", "anna/b")] == ["One.", "Two two."]
    assert [(word.text, word.start_sec) for word in heard["anna/b"].words] == [("Two", 0.0), ("two.", 1.0)]
    assert sorted(model.calls) == [10, 20]
    assert recognise_clips(["a", "anna/b"], open_transcriber(tmp_path)) == heard
    assert sorted(model.calls) == [10, 20]


def test_changed_audio_model_or_language_is_recognised_again(model, tmp_path):
    recognise_clips(["a", "anna/b"], open_transcriber(tmp_path))
    write_clip(tmp_path, "a", 25)
    assert recognise_clips(["a", "anna/b"], open_transcriber(tmp_path))["a"].text == "Another."
    assert sorted(model.calls) == [10, 20, 25]
    recognise_clips(["a"], open_transcriber(tmp_path, "de"))
    assert model.calls[-1] == 25
    assert len(model.calls) == 4
    (tmp_path / "model" / "model.bin").write_bytes(b"others")
    recognise_clips(["a"], open_transcriber(tmp_path, "de"))
    assert len(model.calls) == 5


@pytest.mark.parametrize("content", ["{", "[]", '{"audio": "x"}'])
def test_damaged_results_are_made_again(content, model, tmp_path):
    recognise_clips(["a"], open_transcriber(tmp_path))
    path = tmp_path / "texts" / "a.json"
    whole = path.read_text()
    path.write_text(content)
    assert recognise_clips(["a"], open_transcriber(tmp_path))["a"].text == "One."
    assert json.loads(path.read_text()) == json.loads(whole)


def test_an_unreadable_clip_does_not_stop_the_others(model, tmp_path, caplog):
    (tmp_path / "data" / "wavs" / "a.wav").write_bytes(b"no audio")
    assert list(recognise_clips(["a", "anna/b"], open_transcriber(tmp_path))) == ["anna/b"]
    assert "clips without a text: " in caplog.text
    assert "a.wav" in caplog.text


def test_the_language_of_a_group_is_heard_in_half_a_minute(model, tmp_path):
    clips = [f"c{i}" for i in range(9)]
    for clip in clips:
        write_clip(tmp_path, clip, 80)
    assert detect_languages([clips, ["a"]], open_transcriber(tmp_path)) == [("en", 0.9), ("en", 0.9)]
    assert sorted(model.detections) == [10, 320]
    assert detect_languages([clips, ["a"]], open_transcriber(tmp_path)) == [("en", 0.9), ("en", 0.9)]
    assert sorted(model.detections) == [10, 320], "a second start does not ask again"
    write_clip(tmp_path, "a", 30)
    detect_languages([["a"]], open_transcriber(tmp_path))
    assert model.detections[-1] == 30
    model.multilingual = False
    assert detect_languages([clips[:3]], open_transcriber(tmp_path)) == [None]


def test_messages(model, tmp_path, monkeypatch):
    model.multilingual = False
    with pytest.raises(InputError, match=r"--transcriber: .* understands English only; give a model of many languages"):
        open_transcriber(tmp_path, "de")
    model.multilingual = True
    with pytest.raises(InputError, match="knows no language 'xx'"):
        open_transcriber(tmp_path, "xx")
    monkeypatch.setattr(whisper, "is_installed", lambda: False)
    with pytest.raises(InputError, match=r"pip install faster-whisper; or give the texts, such as a \.txt file"):
        open_transcriber(tmp_path)
