"""`metadata.csv`: one line `id|text` for each clip, with further columns that data sets arrange in several ways."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.audio_input.names import is_audio_file
from common.errors import InputError, first_three
from common.files.text_files import read_lines
from common.text.english.cleaners import english_cleaners_v2

log = logging.getLogger(__name__)

COLUMNS = ("id", "text", "normalised", "speaker", "ignore")  # what a column may hold
FLAG = "--metadata-columns"
LONGEST_NAME = 40  # characters of a speaker's name
# What data sets call their columns in a first line.
_HEADERS = {
    **dict.fromkeys(("id", "clip", "file", "filename", "file_name", "audio", "audio_file", "wav", "path"), "id"),
    **dict.fromkeys(("text", "transcript", "transcription", "sentence", "raw_text"), "text"),
    **dict.fromkeys(("normalised", "normalized", "normalised_text", "normalized_text"), "normalised"),
    **dict.fromkeys(("speaker", "speaker_name", "speaker_id", "spk"), "speaker"),
}


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Texts and speakers by clip, in the order of the file.

    Attributes:
        columns: what the columns hold, see `COLUMNS`.
        texts: id -> text to speak, which is the normalised one if there is one. May be empty.
        speakers: id -> name of the speaker. Empty without a speaker column.
    """

    columns: tuple[str, ...]
    texts: dict[str, str]
    speakers: dict[str, str]


def read_metadata(path: str | Path, columns: Sequence[str] = ()) -> Metadata:
    """Read a metadata file.

    Ids may have an audio suffix, quotes, and the folder `wavs/`. Where the normalised text is empty, the text counts.

    Args:
        path: the file.
        columns: what its columns hold, see `COLUMNS`. By default its first line says so, or the columns are recognised.

    Raises:
        FileNotFoundError: no such file.
        InputError: not such a file, columns that can be read in two ways, or an id with two texts. The message names
            the line, and the flag that decides.
    """
    path = Path(path)
    if columns:
        check_columns(columns)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; a data set in LJSpeech layout has metadata.csv and wavs/")
    rows = {
        number: [_unquoted(column) for column in line.split("|")]
        for number, line in enumerate(read_lines(path), 1)
        if line.strip()
    }
    named = _read_header(rows)
    if not rows:
        raise InputError(f"{path}: no transcripts")
    _drop_empty_columns(rows)
    for number, row in rows.items():
        if len(row) < 2 or not row[0]:
            raise InputError(
                f"{path}: line {number} is not 'id|transcript' or 'id|transcript|normalised transcript'{_hint(row)}"
            )
    chosen = tuple(columns) or named or recognise_columns(path, rows)
    if "speaker" in chosen:
        log.info("%s: columns %s", path, ", ".join(chosen))
    return _collect(path, rows, chosen)


def check_columns(columns: Sequence[str]) -> None:
    """Raise `InputError` unless these are the columns of a metadata file."""
    unknown = [column for column in columns if column not in COLUMNS]
    repeated = [column for column, count in Counter(columns).items() if count > 1 and column != "ignore"]
    if unknown or repeated:
        fault = f"unknown {unknown[0]!r}" if unknown else f"{repeated[0]} twice"
        raise InputError(f"{FLAG}: {fault}; name each column in order, among {', '.join(COLUMNS)}")
    if "id" not in columns or not {"text", "normalised"} & set(columns):
        raise InputError(f"{FLAG}: {','.join(columns)} has no id or no text")


def recognise_columns(path: Path, rows: Mapping[int, Sequence[str]]) -> tuple[str, ...]:
    """Recognise `id|text`, `id|text|normalised`, `id|text|speaker` or `id|speaker|text` by the contents.

    A normalised text shares most words with its text. Speakers are short names that repeat, while texts do not.

    Raises:
        InputError: another layout, or one that can be read in two ways.
    """
    counts = Counter(map(len, rows.values()))
    if max(counts) == 2:
        return ("id", "text")
    example = next(number for number, row in rows.items() if len(row) == max(counts))
    if max(counts) > 3:
        more = ",ignore" * (max(counts) - 4) if max(counts) < 8 else ", and so on"
        raise InputError(
            f"{path}: line {example} has {max(counts)} columns, whose last may be a speaker or something else: give "
            f"{FLAG} id,text,normalised,speaker{more} or id,text,normalised,ignore{more}"
        )
    full = [row for row in rows.values() if len(row) == 3 and row[1] and row[2]]
    alike = sum(_share_words(row[1], row[2]) for row in full)
    if 2 * alike >= len(full):
        return ("id", "text", "normalised")
    if len(counts) > 1:
        raise InputError(
            f"{path}: line {example} has 3 columns, and {counts[2]} of {len(rows)} lines have 2: for texts with a bar "
            f"in them, give {FLAG} id,text; for a third column with the text to speak, {FLAG} id,text,normalised"
        )
    second, third = (_are_names([row[column] for row in rows.values()]) for column in (1, 2))
    if second == third:
        _, first, last = rows[example]
        raise InputError(
            f"{path}: line {example}: the text to speak may be {_shorten(first)!r} or {_shorten(last)!r}; give {FLAG} "
            "id,text,speaker or id,speaker,text or id,text,normalised or id,text,ignore"
        )
    return ("id", "speaker", "text") if second else ("id", "text", "speaker")


def _collect(path: Path, rows: Mapping[int, Sequence[str]], columns: tuple[str, ...]) -> Metadata:
    lines = {number: _assign(path, number, row, columns) for number, row in rows.items()}
    takes: dict[str, set[str]] = {}
    for line in lines.values():
        takes.setdefault(line["id"], set()).add(line.get("speaker", ""))
    shared = any(len(speakers) > 1 for speakers in takes.values())  # the folder of a speaker tells their files apart
    texts: dict[str, str] = {}
    speakers: dict[str, str] = {}
    again: list[str] = []
    for number, line in lines.items():
        speaker = line.get("speaker", "")
        clip = f"{speaker}/{line['id']}" if shared else line["id"]
        text = line.get("normalised") or line.get("text", "")
        if clip in texts:
            if texts[clip] != text:
                raise InputError(f"{path}: line {number} names {clip} a second time, with another text")
            again.append(clip)
        if "speaker" in columns and not speaker:
            raise InputError(f"{path}: line {number} has no speaker")
        texts[clip] = text
        if speaker:
            speakers[clip] = speaker
    if again:
        log.warning("%s: %d lines are there twice: %s", path, len(again), first_three(again))
    return Metadata(columns, texts, speakers)


def _assign(path: Path, number: int, row: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """Return the contents of a line by the names of the columns."""
    values = list(row)
    if len(values) > len(columns) and columns[-1] in ("text", "normalised"):  # the text has bars
        values[len(columns) - 1 :] = [" ".join(filter(None, values[len(columns) - 1 :]))]
    if len(values) > len(columns) or (missing := set(columns[len(values) :]) - {"normalised", "ignore"}):
        fault = f"has {len(values)} columns, but {','.join(columns)} are {len(columns)}"
        raise InputError(f"{path}: line {number} {fault if len(values) > len(columns) else f'lacks {min(missing)}'}")
    line = dict(zip(columns, values, strict=False))
    line["id"] = name_clip(line["id"])
    if not line["id"]:
        raise InputError(f"{path}: line {number} has no id")
    return line


def name_clip(name: str) -> str:
    """Return the id of a clip, without a suffix of audio and the folder `wavs/`: `wavs/a.WAV` -> `a`."""
    name = name.replace("\\", "/").removeprefix("./").removeprefix("wavs/")
    return name[: name.rindex(".")] if is_audio_file(Path(name)) else name


def number_speakers(names: Mapping[str, str]) -> dict[str, int]:
    """Map the names of speakers to 0, 1, 2, ... in the order of the alphabet, or of numbers if all are numbers.

    Args:
        names: id of each clip -> its speaker.
    """
    different = set(names.values())
    # Python refuses to read a number of thousands of digits.
    if all(name.isascii() and name.isdecimal() and len(name) <= LONGEST_NAME for name in different):
        return {name: number for number, name in enumerate(sorted(different, key=lambda name: (int(name), name)))}
    return {name: number for number, name in enumerate(sorted(different))}


def _read_header(rows: dict[int, list[str]]) -> tuple[str, ...]:
    """Remove a first line that names the columns, and return what they hold. Columns of other names are ignored."""
    if not rows:
        return ()
    first = min(rows)
    names = [_HEADERS.get(column.lower().replace(" ", "_"), "") for column in rows[first]]
    known = [name for name in names if name]
    is_header = len(names) > 1 and names[0] == "id" and {"text", "normalised"} & set(known)
    if not is_header or len(set(known)) < len(known):
        return ()
    ignored = [column for column, name in zip(rows[first], names, strict=True) if not name]
    if ignored:
        log.info("the columns %s are ignored", ", ".join(ignored))
    del rows[first]
    return tuple(name or "ignore" for name in names)


def _drop_empty_columns(rows: Mapping[int, list[str]]) -> None:
    """Remove last columns that are empty in every line."""
    width = max(map(len, rows.values()))
    while width > 2 and not any(row[width - 1] for row in rows.values() if len(row) == width):
        for row in rows.values():
            del row[width - 1 :]
        width -= 1


def _unquoted(column: str) -> str:
    column = column.strip()
    if len(column) > 1 and column[0] == column[-1] == '"' and '"' not in column[1:-1].replace('""', ""):
        return column[1:-1].replace('""', '"').strip()
    return column


def _share_words(first: str, second: str) -> bool:
    """Return whether the second text may be the normalised form of the first: half of their words are the same."""
    b = set(re.findall(r"\w+", second.lower()))
    for text in (first, english_cleaners_v2(first)):  # which writes numbers and abbreviations in words
        a = set(re.findall(r"\w+", text.lower()))
        if 4 * len(a & b) >= len(a) + len(b):
            return True
    return False


def _are_names(values: Sequence[str]) -> bool:
    """Return whether a column may hold speakers: short names without punctuation of sentences, each for many clips."""
    different = set(values)
    short = all(0 < len(value) <= LONGEST_NAME and len(value.split()) <= 3 for value in different)
    return short and 2 * len(different) <= len(values) and not any(re.search(r"[.!?]$", value) for value in different)


def _hint(row: Sequence[str]) -> str:
    for mark, name in {"\t": "tabs", ";": "semicolons", ",": "commas"}.items():
        if len(row) == 1 and mark in row[0]:
            return f"; columns are separated by '|', not by {name}"
    return ""


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
