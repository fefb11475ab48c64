"""Splits by prompt: parts share no prompt and no text."""

import random
import re

import pytest

from common.data.prompts import group_by_prompt, split_by_prompt
from common.errors import InputError


def takes(prompts, number=2):
    """Return a data set with several takes of each prompt."""
    return {f"p{i:04d}_{take}": f"Text number {i}." for i in range(prompts) for take in range(number)}


def test_takes_and_equal_texts_are_one_prompt():
    transcripts = {
        "a_1": "One, two!",
        "a_2": "One two three.",  # misread, still a take of the prompt
        "b_1": "one  two",  # the words of a_1
        "c_1": "Four.",
        "c_2": "four",
        "d_1": "Five.",
        "e_1": "six three",
    }
    assert sorted(group_by_prompt(transcripts)) == [["a_1", "a_2", "b_1"], ["c_1", "c_2"], ["d_1"], ["e_1"]]


def test_without_takes_texts_decide():
    """In LJSpeech ids have no prefix, and in `book_001` it is the same for all clips."""
    for name in ("LJ001-{:04d}", "book_{:04d}"):
        transcripts = {name.format(i): f"Line {min(i, 7)}" for i in range(9)}
        expected = [[name.format(i)] for i in range(7)] + [[name.format(7), name.format(8)]]
        assert sorted(group_by_prompt(transcripts)) == expected


def test_texts_in_any_script_differ():
    transcripts = {"a": "Здравствуйте", "b": "Спасибо", "c": "спасибо!", "d": "...", "e": "?"}
    assert sorted(group_by_prompt(transcripts)) == [["a"], ["b", "c"], ["d"], ["e"]]


def test_groups_equal_connected_parts():
    """Compared with a plain search in the graph whose edges are common prefixes and equal words."""
    rng = random.Random(0)
    transcripts = {f"p{rng.randrange(40)}_{i}": f"words {rng.randrange(70)}" for i in range(90)}

    def linked(one, other):
        same_words = transcripts[one] == transcripts[other]
        return same_words or re.sub("_.*", "", one) == re.sub("_.*", "", other)

    waiting, expected = set(transcripts), []
    while waiting:
        group = new = {waiting.pop()}
        while new:
            new = {clip for clip in waiting if any(linked(clip, other) for other in new)}
            waiting -= new
            group = group | new
        expected.append(sorted(group))
    assert 1 < len(expected) < 40
    assert sorted(group_by_prompt(transcripts)) == sorted(expected)


@pytest.mark.parametrize(("prompts", "val", "test"), [
    (3, 1, 1), (20, 2, 2), (120, 6, 12), (400, 10, 40), (1000, 24, 100), (1071, 24, 100), (3000, 24, 100),
])  # fmt: skip
def test_sizes_and_separation(prompts, val, test):
    transcripts = takes(prompts)
    parts = split_by_prompt(transcripts)
    assert {name: len(clips) // 2 for name, clips in parts.items()} == {
        "train": prompts - val - test,
        "val": val,
        "test": test,
    }
    assert sorted(clip for clips in parts.values() for clip in clips) == sorted(transcripts)
    texts = {name: {transcripts[clip] for clip in clips} for name, clips in parts.items()}
    assert not texts["train"] & (texts["val"] | texts["test"])
    assert not texts["val"] & texts["test"]
    assert all(clips == sorted(clips) for clips in parts.values())


def test_choice_depends_on_the_seed_alone():
    """The shipped voice was trained with this split: prompts in order of their first id, shuffled with seed 1234."""
    transcripts = takes(1071)
    expected = [f"p{i:04d}" for i in range(1071)]
    random.Random(1234).shuffle(expected)
    parts = split_by_prompt(transcripts)
    assert {clip[:5] for clip in parts["val"]} == set(expected[:24])
    assert {clip[:5] for clip in parts["test"]} == set(expected[24:124])
    assert split_by_prompt(dict(reversed(transcripts.items()))) == parts
    assert split_by_prompt(transcripts, seed=1) != parts


def test_too_few_prompts():
    with pytest.raises(InputError, match=r"--split prompt: needs three different prompts or more, but the .* has 2"):
        split_by_prompt(takes(2))


@pytest.mark.parametrize("seed", range(20))
def test_every_speaker_is_in_every_part(seed):
    """Three speakers of very different amounts. The fourth has too few prompts for that, the fifth only one."""
    counts = {"anna": 200, "ben": 5, "carl": 3, "dora": 2, "eva": 1}
    transcripts = {f"{name}{i:03d}": f"{name} says {i}." for name, count in counts.items() for i in range(count)}
    speakers = {clip: clip.rstrip("0123456789") for clip in transcripts}
    parts = split_by_prompt(transcripts, seed, speakers)
    found = {part: {speakers[clip] for clip in clips} for part, clips in parts.items()}
    assert found["train"] == set(counts)
    assert {"anna", "ben", "carl"} <= found["val"]
    assert {"anna", "ben", "carl", "dora"} <= found["test"]
    assert sorted(clip for clips in parts.values() for clip in clips) == sorted(transcripts)
    assert (len(parts["val"]), len(parts["test"])) == (6, 21)


def test_speakers_of_the_same_prompts():
    """As in VCTK, where all read the same texts: a prompt of one is a prompt of all."""
    transcripts = {f"{name}/{i:03d}": f"Text {i}." for name in ("a", "b") for i in range(40)}
    parts = split_by_prompt(transcripts, speakers={clip: clip[0] for clip in transcripts})
    assert {part: len(clips) for part, clips in parts.items()} == {"train": 64, "val": 8, "test": 8}
    assert all({clip[0] for clip in clips} == {"a", "b"} for clips in parts.values())


def test_speakers_of_one_prompt_each():
    parts = split_by_prompt({f"{i}": f"Text {i}." for i in range(5)}, speakers={f"{i}": f"{i}" for i in range(5)})
    assert {part: len(clips) for part, clips in parts.items()} == {"train": 3, "val": 1, "test": 1}
