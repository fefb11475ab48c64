"""Texts and speakers of recordings in lists such as `metadata.csv`."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from common.audio_input.folders import walk_files
from common.data.metadata import read_metadata
from common.errors import InputError, first_three
from voice.recordings.segment import Recording

log = logging.getLogger(__name__)
METADATA = ("metadata.csv", "metadata.txt", "transcripts.csv", "transcripts.txt")


@dataclasses.dataclass(frozen=True)
class Listed:
    """Texts and speakers in the lists of a folder.

    Attributes:
        texts: text of each recording, by `Recording.name`, as in the list.
        speakers: its speaker, if the list names any.
        problems: one line for each list that has rows without a recording.
    """

    texts: dict[str, str] = dataclasses.field(default_factory=dict)
    speakers: dict[str, str] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)


def read_lists(folder: Path, recordings: Sequence[Recording]) -> Listed:
    """Read all lists below a folder. Of several lists, one that cannot be used is named in the log.

    Raises:
        InputError: the only list cannot be read, or names none of the recordings.
    """
    lists = sorted(walk_files(folder, lambda path: path.name.lower() in METADATA))
    found = Listed()
    for path in lists:
        try:
            metadata = read_metadata(path)
            matched = _match(path.parent.relative_to(folder).as_posix(), metadata.texts, recordings)
            if not matched:
                first = next(iter(metadata.texts))
                raise InputError(f"{path}: names none of the recordings ({first} and others); correct or remove it")
        except (InputError, OSError) as error:
            if len(lists) == 1:
                raise
            log.warning("%s; not used", error)
            continue
        if missing := sorted(metadata.texts.keys() - set(matched.values())):
            rows = f"{len(missing)} of {len(metadata.texts)} rows"
            found.problems.append(f"{path}: {rows} have no recording: {first_three(missing)}")
        for name, clip in matched.items():
            found.texts[name] = metadata.texts[clip]
            if clip in metadata.speakers:
                found.speakers[name] = metadata.speakers[clip]
    return found


def _match(inside: str, clips: Mapping[str, str], recordings: Sequence[Recording]) -> dict[str, str]:
    """Return the id in a list of each recording below its folder: by path, or by name if that is unique."""
    prefix = "" if inside == "." else f"{inside}/"
    by_path: dict[str, str] = {}
    by_name: dict[str, list[str]] = {}
    for recording in recordings:
        if recording.name.startswith(prefix):
            path = str(PurePosixPath(recording.name.removeprefix(prefix)).with_suffix(""))
            by_path[path] = recording.name
            by_name.setdefault(path.rpartition("/")[2], []).append(recording.name)
    found = {}
    for clip in clips:
        named = by_name.get(clip.rpartition("/")[2], [])
        ways = [by_path[way] for way in (clip, f"wavs/{clip}", f"wav/{clip}") if way in by_path]
        for name in ways[:1] or (named if len(named) == 1 else []):
            found[name] = clip
    return found
