"""Phrase files: lists of utterances to synthesise, with the names of their outputs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from common.audio_input.names import LONGEST_NAME, is_audio_file
from common.errors import InputError
from common.files.text_files import read_lines

MEL_SUFFIXES = (".npy", ".pt")
COLUMNS = ("mel", "output", "text", "pitch", "speaker")


@dataclasses.dataclass(frozen=True)
class Phrase:
    """One line of a phrase file.

    Attributes:
        output: wav file name, relative to the output directory and always inside it.
        mel: mel file relative to the data set, or None.
        text: text to speak, or None.
        pitch: pitch file relative to the data set, or None.
        speaker: voice, as written in the file, or None.
        line: line number in the file.
    """

    output: str
    mel: str | None = None
    text: str | None = None
    pitch: str | None = None
    speaker: str | None = None
    line: int = dataclasses.field(default=0, compare=False)


def read_phrases(path: str | Path) -> list[Phrase]:
    """Read (a) a TSV whose header names columns, (b) lines `<output wav name>|<text>` or (c) lines of text.

    Blank lines are skipped. The N-th phrase is called `audio_N.wav` unless the file names it.

    Raises:
        FileNotFoundError: no such file.
        InputError: an empty file, a file list or metadata, whose columns would be spoken, a TSV row whose number of
            columns differs from the header's, a name outside the output directory, or a name used twice or as a folder.
            The message has the line number.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such phrase file (-i)")
    if path.suffix.lower() in MEL_SUFFIXES:
        raise InputError(
            f"{path}: -i takes no mel itself; give a text file with the line 'mel', and below it this file's name "
            "relative to --dataset-path"
        )
    numbered = [(number, line) for number, line in enumerate(read_lines(path), 1) if line.strip()]
    if not numbered:
        raise InputError(f"{path}: the phrase file is empty")
    header = [column.strip() for column in numbered[0][1].split("\t")]
    is_table = len(header) > 1 or header[0] in ("mel", "text")
    if not is_table:
        _refuse_lists(path, numbered)
    rows = _table_rows(path, header, numbered[1:]) if is_table else _plain_rows(numbered)
    phrases: list[Phrase] = []
    lines: dict[str, int] = {}  # output name -> its line
    for count, (number, row) in enumerate(rows, 1):
        try:
            name = safe_name(row.get("output") or f"audio_{count}.wav")
        except InputError as error:
            raise InputError(f"{path}: line {number}: {error}") from error
        if name in lines:
            raise InputError(
                f"{path}: line {number}: line {lines[name]} has the output name {name!r} already; "
                "one would overwrite the other"
            )
        lines[name] = number
        mel, text, pitch, speaker = (row.get(column) or None for column in ("mel", "text", "pitch", "speaker"))
        phrases.append(Phrase(name, mel, text, pitch, speaker, number))
    if not phrases:
        raise InputError(f"{path}: the phrase file has a header but no phrases")
    for name, number in lines.items():
        folder = next((str(folder) for folder in PurePosixPath(name).parents if str(folder) in lines), None)
        if folder:
            raise InputError(
                f"{path}: line {number}: {name!r} cannot lie in {folder!r}, the output of line {lines[folder]}"
            )
    return phrases


def safe_name(name: str) -> str:
    """Return an output name with the suffix `.wav`.

    Raises:
        InputError: a name outside the output directory (absolute, or with `..`), an empty one, or one that no file can
            have.
    """
    pure = PurePosixPath(name.strip().replace("\\", "/"))
    drive = len(pure.parts) > 0 and pure.parts[0].endswith(":")
    if pure.is_absolute() or drive or ".." in pure.parts or not pure.name or "\0" in name:
        raise InputError(f"output name {name!r} does not lie inside the output directory")
    pure = pure if pure.suffix.lower() == ".wav" else pure.with_name(pure.name + ".wav")
    try:
        longest = max(len(os.fsencode(part)) for part in pure.parts)
    except UnicodeEncodeError as error:  # half of a character beyond 16 bits, as JSON can write it
        raise InputError(f"output name {name!r} has a character that file names cannot have") from error
    if longest > LONGEST_NAME:
        raise InputError(f"output name {name[:30] + '...'!r} is longer than {LONGEST_NAME} bytes")
    return str(pure)


def _table_rows(path: Path, header: list[str], lines: Sequence[tuple[int, str]]) -> list[tuple[int, dict[str, str]]]:
    unknown = [column for column in header if column not in COLUMNS]
    if unknown or len(set(header)) < len(header):
        raise InputError(
            f"{path}: the header must name different columns among {', '.join(COLUMNS)}; found {header[:8]}"
        )
    rows = []
    for number, line in lines:
        values = [value.strip() for value in line.split("\t")]
        if len(values) != len(header):
            raise InputError(f"{path}: line {number} has {len(values)} columns, the header has {len(header)}")
        rows.append((number, dict(zip(header, values, strict=True))))
    return rows


def _refuse_lists(path: Path, lines: Sequence[tuple[int, str]]) -> None:
    """Raise `InputError` for lines of a file list or of metadata.csv, whose columns would be spoken."""
    rows = [[column.strip() for column in line.split("|")] for _, line in lines]
    names_pitch = any(len(row) > 2 and Path(row[1]).suffix in MEL_SUFFIXES for row in rows)
    names_audio = any(len(row) == 1 and _is_audio_path(row[0]) for row in rows)
    has_columns = all(len(row) > 2 for row in rows) and len(rows) > 1
    repeats = any(len(row) > 2 and row[1] and row[1] == row[2] for row in rows)
    if names_pitch or names_audio or has_columns or repeats:
        kind = (
            "a list of audio files" if names_audio else f"a file list or metadata, with {max(map(len, rows))} columns"
        )
        raise InputError(
            f"{path}: this looks like {kind}, not like phrases: give lines <output wav name>|<text>, or a TSV with a "
            f"header among {', '.join(COLUMNS)}"
        )


def _is_audio_path(line: str) -> bool:
    return is_audio_file(Path(line)) and len(line.split()) == 1


def _plain_rows(lines: Sequence[tuple[int, str]]) -> list[tuple[int, dict[str, str]]]:
    rows = []
    for number, line in lines:
        name, bar, text = line.partition("|")
        rows.append((number, {"output": name.strip(), "text": text.strip()} if bar else {"text": line.strip()}))
    return rows
