"""Numbers, names and pitch of a model's voices."""

from pathlib import Path

import pytest

from common.errors import InputError
from fastpitch.speakers import describe_speakers, find_speaker, names_beside, read_names, stored_names, stored_pitch
from tests.support.paths import written

NAMES = {"anna": 0, "7": 1}


@pytest.mark.parametrize(
    ("speaker", "number"),
    [("0", 0), ("1", 1), ("2", None), ("anna", 0), ("7", 1), ("ben", None), ("-1", None), ("¹", None)],
)
def test_numbers_and_names(speaker: str, number: int | None) -> None:
    assert find_speaker(speaker, 2, NAMES) == number


def test_description() -> None:
    assert describe_speakers(1, {}) == "0 only"
    assert describe_speakers(2, NAMES) == "0 to 1 (anna, 7)"


def test_names_beside_the_lists(tmp_path: Path) -> None:
    written(tmp_path / "v_speakers.json", b'\xef\xbb\xbf{"ben": 1, "anna": 0}')
    assert list(names_beside((str(tmp_path / "v_audio_pitch_text_train.txt"),))) == ["anna", "ben"]
    assert names_beside((str(tmp_path / "train.txt"), str(tmp_path / "w_audio_text.txt"))) == {}


@pytest.mark.parametrize("content", ["[]", "{}", '{"a": 1}', '{"a": 0, "b": 0}', '{"a": "0"}', "{", '{"a": true}'])
def test_refused_names(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match=r"n\.json: (does not map|not a JSON)"):
        read_names(written(tmp_path / "n.json", content))
    with pytest.raises(FileNotFoundError, match="no such file of speakers' names"):
        read_names(tmp_path / "absent.json")


@pytest.mark.parametrize("stored", [None, "x", [[1.0]], [[100.0, 0.0]], [[100.0, float("nan")]], [[1.0, 2.0]] * 2])
def test_unusable_values_of_a_checkpoint_are_ignored(stored: object) -> None:
    assert stored_pitch({"speaker_pitch_hz": stored}, 1) == [(0.0, 0.0)]
    assert stored_names({"speakers": stored}) == {}


def test_values_of_a_checkpoint() -> None:
    assert stored_pitch({"speaker_pitch_hz": [[100, 20.0]]}, 1) == [(100.0, 20.0)]
    assert stored_names({"speakers": NAMES}) == NAMES
