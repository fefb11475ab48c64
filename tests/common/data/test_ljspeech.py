"""LJSpeech's fixed split."""

from __future__ import annotations

import json

import pytest

from common.data.ljspeech import SPLIT_FILE, split_ljspeech
from common.data.metadata import read_metadata
from common.errors import InputError
from tests.support.paths import real_speech


def made_up_ljspeech() -> dict[str, str]:
    """Return 13,100 ids in alphabetical order, which include the ids of the split."""
    split = json.loads(SPLIT_FILE.read_text())
    named = {*split["val"], *split["test"], *split["discard"], *split["corrected_transcripts"]}
    others = (f"ZZ{number:05d}" for number in range(13100 - len(named)))
    return {clip: f"Text of {clip}." for clip in sorted([*named, *others])}


def check_split(transcripts: dict[str, str]) -> None:
    before = dict(transcripts)
    parts = split_ljspeech(transcripts)
    assert {part: len(clips) for part, clips in parts.items()} == {
        "train_v3": 12496,
        "val": 100,
        "test": 500,
        "all": 13096,
    }
    train, val, test = (set(parts[part]) for part in ("train_v3", "val", "test"))
    assert len(train) + len(val) + len(test) == len(train | val | test) == 13096
    assert train | val | test == set(parts["all"])
    assert len(before.keys() - set(parts["all"])) == 4
    assert parts["train_v3"] == [clip for clip in before if clip in train]
    changed = {clip for clip in before if transcripts[clip] != before[clip]}
    assert changed <= json.loads(SPLIT_FILE.read_text())["corrected_transcripts"].keys()


def test_ljspeech_split() -> None:
    check_split(made_up_ljspeech())


def test_split_of_the_real_metadata() -> None:
    folder = real_speech()
    if folder is None:
        pytest.skip("HIFIGAN_TEST_DATA is not set")
    transcripts = read_metadata(folder / "data" / "ljspeech-metadata.csv").texts
    assert len(transcripts) == 13100
    check_split(transcripts)


@pytest.mark.parametrize("kind", ["val", "test", "discard", "corrected_transcripts"])
def test_metadata_that_is_not_ljspeech(kind: str) -> None:
    transcripts = made_up_ljspeech()
    clip = next(iter(json.loads(SPLIT_FILE.read_text())[kind]))
    del transcripts[clip]
    with pytest.raises(InputError, match=f"lacks 1 clips of the split, {clip} first"):
        split_ljspeech(transcripts)
