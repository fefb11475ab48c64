"""`review.csv`: the texts of all clips, for the user to correct. Corrections win over anything found later.

`review-written.json` keeps what was written, to know what the user changed. It also keeps the corrections, so that
they survive a lost table, and clips that vanish and come back. To begin again, delete both files.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import first_three
from common.files.fingerprints import file_digest
from voice.recordings.segment import EDITED, Segment
from voice.recordings.spreadsheet import COMPUTED, ReviewRow, format_rows, read_rows
from voice.recordings.written import REVIEW, SAME_PLACE_SEC, Written, imported_files, load_written, store_table

log = logging.getLogger(__name__)


def write_review(work: Path, segments: Sequence[Segment]) -> list[Segment]:
    """Write `review.csv` with the user's corrections in it, and return the corrected segments.

    The table that the user changed is kept as `review-previous.csv`. Clips that are no longer among the segments are
    dropped.

    Raises:
        InputError: a damaged table.
    """
    merged, written = _merge_table(work, segments)
    store_table(work, format_rows(merged), written)
    return merged


def read_review(work: Path, segments: Sequence[Segment]) -> list[Segment]:
    """Return the segments with the corrections of `review.csv`, if there is one.

    A row whose text differs from what was written becomes `EDITED`. Clips whose rows the user deleted are not used.
    Broken rows are named by `write_review`, which follows.

    Raises:
        InputError: a damaged table.
    """
    return _merge_table(work, segments, report=False)[0]


def import_review(file: str | Path, work: Path, segments: Sequence[Segment]) -> list[Segment]:
    """Merge the export of the review page, or another copy of the table, into `review.csv`.

    A file is merged once: a command that is repeated does not undo later corrections of the table.

    Returns:
        The corrected segments.

    Raises:
        FileNotFoundError: no such file.
        InputError: a damaged table.
    """
    before, written = _merge_table(work, segments)
    digest = file_digest(file)
    if digest in imported_files(work):
        log.info("%s: merged already", file)
        store_table(work, format_rows(before), written)
        return before
    merge = _Merge(Path(file), written)
    merged, records = merge.apply(before)
    merge.report()
    log.info("%s: %d clips corrected", file, sum(old != new for old, new in zip(before, merged, strict=True)))
    store_table(work, format_rows(merged), records, digest)
    return merged


def _merge_table(work: Path, segments: Sequence[Segment], report: bool = True) -> tuple[list[Segment], list[Written]]:
    merge = _Merge(work / REVIEW, load_written(work), is_table=True)
    result = merge.apply(segments)
    if report:
        merge.report()
    return result


class _Merge:
    """The written records, changed by the rows of a table, which then correct segments.

    Args:
        path: the table.
        written: what was written.
        is_table: the table is the one that was written, which may be missing, and not a copy: its missing rows were
            deleted.
    """

    def __init__(self, path: Path, written: Sequence[Written], is_table: bool = False) -> None:
        self.name = str(path)
        self.problems: list[str] = []
        self.speakers = {record.speaker for record in written}
        self.rows: dict[str, ReviewRow] = {}
        exists = path.is_file()
        for row in read_rows(path, self.problems) if exists or not is_table else ():
            if row.clip in self.rows:
                self.note(row, f"{row.clip} is also in row {self.rows[row.clip].number}, which counts")
            else:
                self.rows[row.clip] = row
        self.listed = {record.clip for record in written if record.listed}
        is_export = any(row.before for row in self.rows.values())
        self.may_delete = exists and is_table and not is_export
        self.deleted: list[str] = []
        self.dropped: list[Written] = []
        self.written = [self._change(record) if record.listed else record for record in written]

    def note(self, row: ReviewRow, problem: str) -> None:
        self.problems.append(f"row {row.number}: {problem}")

    def report(self) -> None:
        for problem in self.problems:
            log.warning("%s: %s", self.name, problem)
        if self.deleted:
            names = ", ".join(self.deleted[:3]) + ", ..." * (len(self.deleted) > 3)
            log.info("%s: %d rows were deleted; their clips are not used: %s", self.name, len(self.deleted), names)
        if self.dropped:
            log.info(
                "%s: dropped %d clips that are no longer cut from the recordings, %d of them corrected (the "
                "corrections come back with the clips)",
                *(self.name, len(self.dropped), sum(bool(record.edited) for record in self.dropped)),
            )

    def apply(self, segments: Sequence[Segment]) -> tuple[list[Segment], list[Written]]:
        """Return the corrected segments and their records, then those of corrected clips that have vanished."""
        self.speakers |= {segment.speaker for segment in segments}
        known: dict[str, list[Written]] = defaultdict(list)
        for record in self.written:
            known[record.recording].append(record)
        merged, records = [], []
        for segment in segments:
            same = next((record for record in known[segment.recording] if record.has_place_of(segment)), None)
            if same:
                known[segment.recording].remove(same)
            elif segment.clip in self.listed:  # a row of this id is about another part
                same = Written.from_segment(segment)
            else:
                same = self._change(Written.from_segment(segment), is_new=True)
            corrected = same.correct(segment)
            merged.append(corrected)
            records.append(Written.from_segment(corrected, same.edited))
        left = [record for others in known.values() for record in others]
        self.dropped = [record for record in left if record.listed]
        clips = {segment.clip for segment in segments} | self.listed
        unknown = [row for row in self.rows.values() if row.clip not in clips]
        if len(unknown) == 1:
            self.note(unknown[0], f"no clip {unknown[0].clip!r}; it is ignored")
        elif unknown:  # such as the table of another voice
            names = first_three([row.clip for row in unknown])
            self.problems.append(f"{len(unknown)} of {len(self.rows)} rows name no clip of this voice: {names}")
        return merged, [*records, *(dataclasses.replace(record, listed=False) for record in left if record.edited)]

    def _change(self, record: Written, is_new: bool = False) -> Written:
        """Return the record with what its row changes."""
        row = self.rows.get(record.clip)
        if row is None:
            if not self.may_delete or is_new or not record.use:
                return record
            self.deleted.append(record.clip)
            return record.edit(use=False)
        if row.before and row.start_sec is not None and abs(row.start_sec - record.start_sec) > SAME_PLACE_SEC:
            self.note(row, f"{record.clip} is another part of {record.recording} now; the row is ignored")
            return record
        values: dict[str, Any] = {}
        if row.use is not None and row.use != row.before.get("use", record.use):
            values["use"] = row.use
        if row.text in COMPUTED or (not row.text and record.text and values.get("use", record.use)):
            found = f"the text is {row.text}, an error of the spreadsheet" if row.text else "no text"
            self.note(row, f"{found}; {record.clip} keeps its earlier text (to leave it out, write no as its use)")
        elif row.text and (row.text != row.before.get("text", record.text) or row.source == EDITED != record.source):
            values["text"] = row.text
            if not record.text:  # clips without a text are not used
                values.setdefault("use", True)
        if row.speaker and row.speaker != record.speaker and not row.before:
            if row.speaker in self.speakers:
                values["speaker"] = row.speaker
            else:
                self.note(row, f"no speaker {row.speaker!r}; {record.clip} stays {record.speaker or 'without'}")
        return record.edit(**values) if values else record
