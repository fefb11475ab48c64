"""Systems that speak, as they are written on the command line."""

import numpy as np
import pytest

from common.errors import InputError
from evaluation.spoken.systems import SpeakingSystem, parse_speaking_systems, speak
from tests.support.models import make_fastpitch, make_voice
from voice import folder, load_voice
from voice.folder import DEFAULT_VOICE
from voice.pack import pack
from voice.pack_flags import PackConfig


@pytest.fixture
def other(tmp_path, monkeypatch):
    """A voice, and the default voice of this test."""
    make_voice(tmp_path / DEFAULT_VOICE)
    monkeypatch.setattr(folder, "PRETRAINED", tmp_path)
    return make_voice(tmp_path / "other")


def test_every_kind(other, tmp_path):
    words = ["ground-truth", "mine=voice", f"other=voice:{other}", "named=voice:other", f"read={tmp_path}"]
    found = parse_speaking_systems(words)
    assert found == [
        SpeakingSystem("mine", voice=DEFAULT_VOICE),
        SpeakingSystem("other", voice=str(other)),
        SpeakingSystem("named", voice="other"),
        SpeakingSystem("read", folder=str(tmp_path)),
    ]
    assert [system.describe() for system in found] == [
        f"voice {DEFAULT_VOICE}",
        f"voice {other}",
        "voice other",
        f"audio files of {tmp_path}",
    ]
    assert SpeakingSystem("ground-truth").describe() == "the recordings"


def test_a_voice_speaks_as_it_does_in_python(other):
    wav, sampling_rate = speak("Hello there.", str(other))
    assert sampling_rate == 22050
    assert np.array_equal(wav, load_voice(other).speak("Hello there."))


def test_texts_are_spoken_by_their_speakers(other, tmp_path):
    """A voice of one speaker speaks them all."""

    def in_two_voices(content):
        content["train_setup"]["speakers"] = {"anna": 0, "ben": 1}

    model = make_fastpitch(tmp_path / "two.pt", in_two_voices, n_speakers=2)
    generator = str(other / "hifigan.safetensors")
    pack(PackConfig(hifigan=generator, fastpitch=str(model), output=str(tmp_path / "two")))
    voice = load_voice(tmp_path / "two")
    first, second = (voice.speak("Hello there.", speaker=number) for number in (0, 1))
    assert not np.array_equal(first, second)
    for speaker, expected in {"": first, "0": first, "1": second, "ben": second}.items():
        assert np.array_equal(speak("Hello there.", str(tmp_path / "two"), speaker)[0], expected)
    alone = make_fastpitch(tmp_path / "one.pt", n_speakers=1)
    pack(PackConfig(hifigan=generator, fastpitch=str(alone), output=str(tmp_path / "one")))
    assert np.array_equal(
        speak("Hello there.", str(tmp_path / "one"), "7")[0], load_voice(tmp_path / "one").speak("Hello there.")
    )


def test_folders_that_are_no_voices(tmp_path):
    with pytest.raises(InputError, match=r"--system a: .*not a voice: hifigan.safetensors and"):
        parse_speaking_systems([f"a=voice:{tmp_path}"])
    with pytest.raises(FileNotFoundError, match="--system a: nowhere: no such voice or folder"):
        parse_speaking_systems(["a=voice:nowhere"])
    with pytest.raises(FileNotFoundError, match=r"--system a: .*no such folder of audio files"):
        parse_speaking_systems(["a=voice:"])


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


def test_missing_folder_and_name_given_twice(other, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--system a: .*no such folder of audio files; a voice is voice:DIR"):
        parse_speaking_systems([f"a={tmp_path / 'none'}"])
    with pytest.raises(InputError, match="--system: a is given twice"):
        parse_speaking_systems(["a=voice", "a=voice"])
