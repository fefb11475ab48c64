"""Read texts with times: SubRip (.srt), WebVTT (.vtt), and Whisper's own files (.json, .tsv)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from common.errors import InputError
from common.files.json_files import read_json
from common.files.text_files import read_lines
from voice.recordings.segment import Cue, Transcript
from voice.recordings.texts.cleaning import clean_cues

log = logging.getLogger(__name__)
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMES = re.compile(rf"\s*{_TIME}\s*-+>\s*{_TIME}(?:\s.*)?")
_NOT_A_CUE = ("WEBVTT", "NOTE", "STYLE", "REGION")  # first words of WebVTT's other blocks


def read_subtitles(path: Path) -> Transcript:
    """Read a file with the texts and times of a recording.

    Cues without words, such as `[music]`, are dropped, and repeated lines of rolling captions are counted once. The
    rest is sorted by time.

    Raises:
        InputError: no text of the file has a time.
    """
    try:
        cues = sorted(READERS[path.suffix.lower()](path), key=lambda cue: (cue.start_sec, cue.end_sec))
    except (OverflowError, ValueError) as error:  # numbers of hundreds of digits
        raise error if isinstance(error, InputError) else InputError(f"{path}: a time is too large") from error
    if not cues:
        raise InputError(f"{path}: no text with times, such as 00:00:01,500 --> 00:00:03,000; replace or remove it")
    cues = _without_repeats(cues)
    texts = clean_cues([cue.text for cue in cues])
    kept = tuple(Cue(cue.start_sec, cue.end_sec, text) for cue, text in zip(cues, texts, strict=True) if text)
    return Transcript(" ".join(cue.text for cue in kept), kept)


def _read_cues(path: Path) -> Iterator[Cue]:
    """Yield the cues of .srt and .vtt files. A line of times begins a cue, and an empty line ends it."""
    block: list[str] = []
    bad: list[int] = []
    readable = False
    for number, line in enumerate([*read_lines(path), ""], 1):
        if line.strip():
            block.append(line.strip())
            if "->" in line and not _TIMES.fullmatch(line):
                bad.append(number)
        else:
            for cue in _read_block(block):
                readable = True
                yield cue
            block = []
    if bad and readable:  # else one line for the whole file says so
        log.warning(
            "%s: texts whose times cannot be read are skipped: %d, the first at line %d", path, len(bad), bad[0]
        )


def _read_block(block: list[str]) -> Iterator[Cue]:
    """Yield the cues of a block: more than one where the empty lines between them were lost."""
    if block and block[0].split()[0] in _NOT_A_CUE and not any(map(_TIMES.fullmatch, block)):
        return
    places = [index for index, line in enumerate(block) if _TIMES.fullmatch(line)]
    for place, following in zip(places, [*places, len(block)][1:], strict=True):
        lines = block[place + 1 : following]
        if following < len(block) and lines and lines[-1].isdecimal():  # the number of the following cue
            lines.pop()
        if match := _TIMES.fullmatch(block[place]):
            start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
            if lines and end > start:
                yield Cue(start, end, "\n".join(lines))


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = (part or "0" for part in parts)
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds) + float(f"0.{fraction}")


def _read_whisper_json(path: Path) -> Iterator[Cue]:
    content = read_json(path)
    segments = content.get("segments") if isinstance(content, dict) else content
    try:
        for segment in segments if isinstance(segments, list) else []:
            yield Cue(float(segment["start"]), float(segment["end"]), str(segment["text"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a transcript of Whisper (a segment without start, end and text)") from error


def _read_whisper_tsv(path: Path) -> Iterator[Cue]:
    """Yield the rows `start<tab>end<tab>text`, whose times are milliseconds."""
    for line in read_lines(path):
        columns = line.split("\t", 2)
        if len(columns) == 3 and columns[0].isdecimal() and columns[1].isdecimal():
            yield Cue(int(columns[0]) / 1000, int(columns[1]) / 1000, columns[2])


def _without_repeats(cues: list[Cue]) -> list[Cue]:
    """Remove the lines that rolling captions show again above or without the new line."""
    kept: list[Cue] = []
    last: list[str] = []
    for cue in cues:
        lines = [re.sub(r"<[^<>]*>", "", line).strip() for line in cue.text.split("\n")]
        rolls = bool(kept) and lines[0] in last and cue.start_sec - kept[-1].end_sec < 0.5
        new = [line for line in cue.text.split("\n")[1:] if line.strip()] if rolls else [cue.text]
        if new:
            kept.append(Cue(cue.start_sec, cue.end_sec, "\n".join(new)))
        last = lines
    return kept


READERS: dict[str, Callable[[Path], Iterator[Cue]]] = {
    ".srt": _read_cues,
    ".vtt": _read_cues,
    ".json": _read_whisper_json,
    ".tsv": _read_whisper_tsv,
}
