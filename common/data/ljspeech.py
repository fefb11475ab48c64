"""The published split of LJSpeech."""

from __future__ import annotations

from pathlib import Path

from common.errors import InputError
from common.files.json_files import read_json

LJSPEECH_COLUMNS = ("id", "text", "normalised")
SPLIT_FILE = Path(__file__).with_name("ljspeech_split.json")


def split_ljspeech(transcripts: dict[str, str]) -> dict[str, list[str]]:
    """Apply the published split of LJSpeech: 12,496 training, 100 validation, and 500 test clips. Four are excluded.

    Also corrects two transcripts in `transcripts`.

    Returns:
        {"train_v3": ids, "val": ids, "test": ids, "all": ids}, with ids in the order of the metadata (`val` and `test`:
        in the order of the split).

    Raises:
        InputError: clips of the split are missing, so the metadata is not LJSpeech-1.1.
    """
    split = read_json(SPLIT_FILE)
    held_out = set(split["val"]) | set(split["test"]) | set(split["discard"])
    missing = (held_out | split["corrected_transcripts"].keys()) - transcripts.keys()
    if missing:
        raise InputError(
            f"metadata.csv is not LJSpeech-1.1: it lacks {len(missing)} clips of the split, {min(missing)} first"
        )
    transcripts.update(split["corrected_transcripts"])
    train = [clip for clip in transcripts if clip not in held_out]
    everything = [clip for clip in transcripts if clip not in set(split["discard"])]
    return {"train_v3": train, "val": split["val"], "test": split["test"], "all": everything}
