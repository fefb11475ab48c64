"""The rows of a review table: CSV as spreadsheet programs write it, with any separator and encoding of theirs."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from common.errors import InputError
from common.files.bounded.regular_files import open_regular
from common.files.text_files import read_lines
from voice.recordings.segment import SOURCES, Segment

COLUMNS = ("clip", "use", "text", "confidence", "source", "speaker", "seconds", "recording", "start", "remarks")
# The page adds these to its export: the values that it was made with, so that any later change is seen as an edit.
BEFORE = {"text": "text_before", "use": "use_before"}
YES = ("yes", "y", "true", "1", "use")
NO = ("no", "n", "false", "0", "x", "skip")
_SEPARATORS = ",;\t"
_FORMULA = ("=", "+", "-", "@")  # a spreadsheet program computes texts that begin so
# What spreadsheet programs put in place of a text that they took for a formula.
COMPUTED = ("#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#N/A", "#NUM!", "#NULL!", "Err:508", "Err:509", "Err:510")


@dataclasses.dataclass(frozen=True)
class ReviewRow:
    """A row of a table. None are cells that are missing or empty.

    Attributes:
        number: of its line as a spreadsheet program counts it: the header is row 1.
        clip: id of the clip.
        text: what is said, with single spaces.
        use: whether training uses the clip.
        source: one of `SOURCES`.
        start_sec: place in its recording.
        before: values of `text` and `use` that an export was made with. Empty in other tables.
    """

    number: int
    clip: str
    text: str | None
    use: bool | None
    speaker: str | None
    source: str | None
    start_sec: float | None
    before: Mapping[str, str | bool]


def format_rows(segments: Iterable[Segment]) -> bytes:
    """Return the table of these segments as CSV in UTF-8 with a byte order mark, which Excel needs."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for segment in segments:
        values = {
            "clip": segment.clip,
            "use": YES[0] if segment.use else NO[0],
            "text": _guard(segment.text),
            "confidence": "" if segment.confidence is None else f"{segment.confidence:.2f}",
            "source": segment.source,
            "speaker": _guard(segment.speaker),
            "seconds": f"{segment.seconds:.2f}",
            "recording": _guard(segment.recording),
            "start": f"{segment.start_sec:.2f}",
            "remarks": _guard("; ".join(segment.remarks)),
        }
        writer.writerow([values[name] for name in COLUMNS])
    return stream.getvalue().encode("utf-8-sig")


def read_rows(path: Path, problems: list[str]) -> list[ReviewRow]:
    """Read a table. Rows that cannot be read get a line in `problems`.

    Commas, semicolons and tabs may separate the columns, which may come in any order. Unknown columns are ignored.

    Raises:
        FileNotFoundError: no such file.
        InputError: not a table with the columns clip and text.
    """
    with open_regular(path) as file:
        if file.read(4) == b"PK\3\4":  # the archive that xlsx and ods files are
            raise InputError(f"{path}: a spreadsheet; save it as CSV in UTF-8")
    lines = read_lines(path)
    header = next((line for line in lines if line.strip(_SEPARATORS + " ")), "")
    separator = max(_SEPARATORS, key=header.count)
    rows: list[ReviewRow] = []
    names: Sequence[str] = ()
    try:
        # `number` counts rows rather than lines, since a text may have line ends inside its quotes.
        for number, cells in enumerate(csv.reader((f"{line}\n" for line in lines), delimiter=separator), 1):
            if not any(cell.strip() for cell in cells):
                continue
            if not names:
                names = _read_header(path, cells)
                continue
            values = dict(zip(names, map(_clean, cells), strict=False))
            row = _read_row(number, values, problems)
            rows += [row] if row else []
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV table ({error}); save it as CSV in UTF-8") from error
    if not names:
        raise InputError(f"{path}: is empty; restore it, or delete it to have it written again")
    return rows


def _read_header(path: Path, cells: Sequence[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    if missing := [name for name in ("clip", "text") if name not in names]:
        raise InputError(
            f"{path}: its first row lacks the column {missing[0]!r}; the columns are {', '.join(COLUMNS)} (save it as "
            "CSV, not as a spreadsheet)"
        )
    return names


def _read_row(number: int, values: Mapping[str, str], problems: list[str]) -> ReviewRow | None:
    clip, text = values.get("clip", ""), values.get("text", "")
    if not clip:
        problems.append(f"row {number}: no clip id; it is ignored")
        return None
    use = values.get("use", "").lower()
    if use and use not in (*YES, *NO):
        problems.append(f"row {number}: use is {use!r} instead of yes or no; it stays as it was")
    before: dict[str, str | bool] = {}
    if BEFORE["text"] in values:
        before["text"] = values[BEFORE["text"]]
    if BEFORE["use"] in values:
        before["use"] = values[BEFORE["use"]].lower() not in NO
    start = None
    with contextlib.suppress(ValueError):  # a program may have made a time of it
        start = float(values.get("start", "").replace(",", "."))
    return ReviewRow(
        number=number,
        clip=clip,
        text=text or None,
        use=True if use in YES else False if use in NO else None,
        speaker=values.get("speaker") or None,
        source=values["source"].lower() if values.get("source", "").lower() in SOURCES else None,
        start_sec=start,
        before=before,
    )


def _guard(text: str) -> str:
    """Mark a text that a spreadsheet program would take for a formula, as these programs do themselves."""
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def _clean(cell: str) -> str:
    text = " ".join(cell.split())
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA) else text
