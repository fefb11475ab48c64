"""Systems that speak, as they are written on the command line."""

import pytest

from common.errors import InputError
from evaluation.spoken.systems import SpeakingSystem, parse_speaking_systems


def test_every_kind(tmp_path, monkeypatch):
    words = ["ground-truth", "mine=voice", f"other=voice:{tmp_path}", f"read={tmp_path}"]
    found = parse_speaking_systems(words)
    assert found == [
        SpeakingSystem("mine", voice="voice"),
        SpeakingSystem("other", voice=str(tmp_path)),
        SpeakingSystem("read", folder=str(tmp_path)),
    ]
    assert [system.describe() for system in found] == ["voice voice", f"voice {tmp_path}", f"audio files of {tmp_path}"]
    assert SpeakingSystem("ground-truth").describe() == "the recordings"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("griffin-lim", "griffin-lim is neither NAME=voice, NAME=voice:DIR nor NAME=DIR"),
        ("a=", "a= is neither"),
        ("ground-truth=x", "'ground-truth' cannot be a name"),
        ("../a=voice", "cannot be a name"),
    ],
)
def test_malformed(word, message):
    with pytest.raises(InputError, match=message):
        parse_speaking_systems([word])


def test_missing_folder_and_name_given_twice(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--system a: .*no such folder of audio files; a voice is voice:DIR"):
        parse_speaking_systems([f"a={tmp_path / 'none'}"])
    with pytest.raises(InputError, match="--system: a is given twice"):
        parse_speaking_systems(["a=voice", "a=voice"])
