"""A record of `review.csv` as it was written, to know what the user changed, and of the corrections so far."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files.atomic import write_whole
from common.files.json_files import read_json
from voice.recordings.segment import EDITED, Segment

REVIEW, PREVIOUS = "review.csv", "review-previous.csv"
WRITTEN, WRITING = "review-written.json", "review-writing.json"
EDITABLE = ("text", "use", "speaker")
SAME_PLACE_SEC = 0.25  # a clip whose ends moved less is the same one
_DAMAGED = f"not a record of what was written; delete it: all texts of {REVIEW} that differ then count as corrections"


@dataclasses.dataclass(frozen=True)
class Written:
    """A clip's row of the table as it was written.

    Attributes:
        edited: which of `EDITABLE` the user decided, now or before.
        listed: whether the table has a row of it. Corrections of clips that vanished are kept without.
    """

    clip: str
    recording: str
    start_sec: float
    end_sec: float
    text: str
    use: bool
    speaker: str
    source: str
    edited: tuple[str, ...] = ()
    listed: bool = True

    @staticmethod
    def from_segment(segment: Segment, edited: Iterable[str] = ()) -> Written:
        """Return the record of a segment."""
        text = " ".join(segment.text.split())
        decided = {*edited, *(["text"] if segment.source == EDITED else [])}
        return Written(
            clip=segment.clip,
            recording=segment.recording,
            start_sec=segment.start_sec,
            end_sec=segment.end_sec,
            text=text,
            use=segment.use,
            speaker=segment.speaker,
            source=segment.source,
            edited=tuple(name for name in EDITABLE if name in decided),
        )

    def correct(self, segment: Segment) -> Segment:
        """Return the segment with what the user decided."""
        changes: dict[str, Any] = {name: getattr(self, name) for name in self.edited}
        if "text" in changes:
            changes.update(source=EDITED, confidence=None)
        return dataclasses.replace(segment, **changes)

    def edit(self, **values: Any) -> Written:
        """Return the record with values that the user decided."""
        decided = {*self.edited, *values}
        return dataclasses.replace(self, edited=tuple(name for name in EDITABLE if name in decided), **values)

    def has_place_of(self, segment: Segment) -> bool:
        """Return whether it is about this part of this recording. Ids may change with the settings."""
        moved = max(abs(self.start_sec - segment.start_sec), abs(self.end_sec - segment.end_sec))
        return self.recording == segment.recording and moved < SAME_PLACE_SEC


def store_table(work: Path, content: bytes, written: Sequence[Written], imported: str = "") -> None:
    """Write the table and what was written, and keep the user's table.

    A kill between the two is noticed by the table's digest.

    Args:
        work: the working folder.
        content: of the table.
        written: the same, and the corrections of clips that have vanished.
        imported: digest of a file whose corrections are in it now.
    """
    table = work / REVIEW
    last = _read(work / WRITTEN)["table"] if (work / WRITTEN).is_file() else ""
    record = {
        "id": review_id(work) or secrets.token_hex(6),
        "imported": sorted({*imported_files(work), *([imported] if imported else [])}),
        "table": hashlib.sha256(content).hexdigest(),
        "clips": [dataclasses.asdict(item) for item in written],
    }
    write_whole(work / WRITING, (json.dumps(record, ensure_ascii=False, indent=0) + "\n").encode())
    if not table.is_file():
        write_whole(table, content)
    elif (old := table.read_bytes()) != content:
        if imported or hashlib.sha256(old).hexdigest() != last:  # the user's, not one that was just written
            write_whole(work / PREVIOUS, old)
        write_whole(table, content)
    (work / WRITING).replace(work / WRITTEN)


def load_written(work: Path) -> list[Written]:
    """Return what was written, empty if nothing was.

    Raises:
        InputError: the record is damaged.
    """
    written, writing, table = work / WRITTEN, work / WRITING, work / REVIEW
    if writing.is_file():  # killed
        record = _read(writing)
        arrived = table.is_file() and hashlib.sha256(table.read_bytes()).hexdigest() == record["table"]
        if arrived or not written.is_file():
            writing.replace(written)
        else:
            writing.unlink()
    if not written.is_file():
        return []
    try:
        return [Written(**{**values, "edited": tuple(values["edited"])}) for values in _read(written)["clips"]]
    except (TypeError, KeyError) as error:
        raise InputError(f"{written}: {_DAMAGED}") from error


def review_id(work: Path) -> str:
    """Return a name of this review that no other has, or "" before the table was written."""
    return str(_read(work / WRITTEN)["id"]) if (work / WRITTEN).is_file() else ""


def imported_files(work: Path) -> list[str]:
    """Return the digests of the files that were merged into the table."""
    return list(_read(work / WRITTEN)["imported"]) if (work / WRITTEN).is_file() else []


def _read(path: Path) -> dict[str, Any]:
    found = read_json(path)
    is_record = isinstance(found, dict) and isinstance(found.get("clips"), list)
    if not is_record or not {"table", "id", "imported"} <= set(found):
        raise InputError(f"{path}: {_DAMAGED}")
    return found
