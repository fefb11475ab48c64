"""Splits by prompt: no prompt and no text of a held-out part is in training."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping

from common.errors import InputError

VALIDATION_SHARE, MOST_VALIDATION = 40, 24  # one in 40 prompts, at most 24
TEST_SHARE, MOST_TEST = 10, 100
# Of few prompts, one in ten is for validation until there are this number: fewer clips say little about progress.
FEWEST_VALIDATION = 6
# Misread prompts give a prefix a second text now and then. Beyond this average, prefixes do not stand for prompts.
MOST_TEXTS_PER_PREFIX = 1.5


def split_by_prompt(
    transcripts: Mapping[str, str], seed: int = 1234, speakers: Mapping[str, str] | None = None
) -> dict[str, list[str]]:
    """Split clips at random, but reproducibly, so that a prompt and a text belong to one part only.

    Takes of a prompt share the id up to its last `_`, and equal words are one prompt whatever their ids. If many texts
    share a prefix, as in `book_001`, `book_002`, ids say nothing about prompts, and the texts alone decide.

    Args:
        transcripts: id -> text.
        seed: of the choice.
        speakers: id -> speaker, of data sets with several. Each of them is in every part if there are three prompts or
            more of him, and always in training. So the held-out parts may be larger or smaller than without.

    Returns:
        {"train": ids, "val": ids, "test": ids}, each in alphabetical order. Validation gets one in 40 prompts, at most
        24 (of few prompts one in ten, up to 6), and test one in 10, at most 100, but each at least one.

    Raises:
        InputError: fewer than three prompts.
    """
    groups = sorted(group_by_prompt(transcripts))
    if len(groups) < 3:
        raise InputError(f"--split prompt: needs three different prompts or more, but the data set has {len(groups)}")
    random.Random(seed).shuffle(groups)
    few = min(FEWEST_VALIDATION, len(groups) // TEST_SHARE)
    num_val = min(MOST_VALIDATION, max(1, few, len(groups) // VALIDATION_SHARE))
    num_test = min(MOST_TEST, max(1, len(groups) // TEST_SHARE))
    voices = [{(speakers or {}).get(clip, "") for clip in group} for group in groups]
    left = Counter(speaker for group in voices for speaker in group)
    rest = dict(enumerate(voices))
    held_out = {}
    for part, size, later in (("val", num_val, 2), ("test", num_test, 1)):
        chosen = _choose(rest, size, left, later)
        held_out[part] = [groups[index] for index in chosen]
        for index in chosen:
            left.subtract(rest.pop(index))
    parts = {"train": [groups[index] for index in rest], **held_out}
    return {name: sorted(clip for group in part for clip in group) for name, part in parts.items()}


def _choose(voices: Mapping[int, set[str]], size: int, left: Mapping[str, int], later: int) -> list[int]:
    """Choose prompts for a part: for each speaker one, then the first ones.

    Args:
        voices: speakers of each prompt, in random order.
        size: number of prompts, unless the speakers need more.
        left: number of prompts of each speaker.
        later: prompts of a speaker that the parts after this one need.

    Returns:
        The chosen prompts. If no speaker can spare one, the first.
    """
    spare = {speaker: count - later for speaker, count in left.items()}
    waiting = {speaker for speaker, count in spare.items() if count > 0}
    chosen: list[int] = []
    for is_filling in (False, True):
        for prompt, found in voices.items():
            wanted = len(chosen) < size if is_filling else bool(waiting & found)
            if wanted and prompt not in chosen and all(spare[speaker] > 0 for speaker in found):
                chosen.append(prompt)
                waiting -= found
                spare.update((speaker, spare[speaker] - 1) for speaker in found)
    return chosen or [next(iter(voices))]


def group_by_prompt(transcripts: Mapping[str, str]) -> list[list[str]]:
    """Return the clips of each prompt: clips that are linked by a common prefix of their ids or by equal words."""
    words = {clip: compared_words(text) for clip, text in transcripts.items()}
    prefixes = {clip: clip.rpartition("_")[0] or clip for clip in transcripts}
    if len(set(words.values())) > MOST_TEXTS_PER_PREFIX * len(set(prefixes.values())):
        prefixes = {clip: clip for clip in transcripts}
    parents: dict[tuple[str, str], tuple[str, str]] = {}

    def find(node: tuple[str, str]) -> tuple[str, str]:
        while (parent := parents.setdefault(node, node)) != node:
            node = parent
        return node

    for clip in transcripts:
        if words[clip]:
            parents[find(("id", prefixes[clip]))] = find(("text", words[clip]))
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for clip in sorted(transcripts):
        groups[find(("id", prefixes[clip]))].append(clip)
    return list(groups.values())


def compared_words(text: str) -> str:
    """Return the words of a text without case and punctuation."""
    return " ".join(re.sub(r"[^\w\s]|_", "", text.lower()).split())
