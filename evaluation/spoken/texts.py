"""The texts of an evaluation of speech, with their recordings where these exist."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from pathlib import Path

from common.audio_input.names import AUDIO_SUFFIXES, is_audio_file
from common.data.filelists import list_speaker, list_text, read_filelist
from common.errors import InputError
from common.files.text_files import read_lines
from common.synthesis.phrases import read_phrases, safe_name
from evaluation.clips import match_files

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SpokenText:
    """A text that every system speaks.

    Attributes:
        name: of its wav files, without suffix. It cannot lead out of a folder.
        text: what is spoken.
        recording: the same text spoken by a person, or None.
        speaker: number or name of the speaker in voices with several, or empty for the first one.
    """

    name: str
    text: str
    recording: Path | None = None
    speaker: str = ""


def read_texts(path: Path, reference: Path | None, dataset: Path, limit: int = 0) -> list[SpokenText]:
    """Read a phrase file, a `metadata.csv` in LJSpeech's layout, or a file list whose last column is the text.

    File lists with pitch may name the speaker in a fourth column, and phrase files in the column `speaker`.

    Args:
        path: the file.
        reference: folder of recordings named like the texts. None: the paths of a file list are relative to `dataset`
            or to the file's folder, and the recordings of `metadata.csv` lie in `wavs/` there.
        dataset: see above.
        limit: read only the first texts (0: all).

    Raises:
        FileNotFoundError: no such file or folder.
        InputError: a line without a text, a name given twice, or a `reference` without recordings of the texts.
    """
    rows = _read_rows(path)[: limit or None]
    names = [safe_name(_without_suffix(first)).removesuffix(".wav") for first, *_ in rows]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise InputError(f"--texts: {count} lines of {path} are called {name}")
    if reference:
        if not reference.is_dir():
            raise FileNotFoundError(f"-i: {reference}: no such folder of recordings (with --texts, -i takes a folder)")
        recordings = match_files(reference, names, "text")
    else:
        found = [_find_recording(first, (dataset, path.parent)) for first, *_ in rows]
        recordings = {name: recording for name, recording in zip(names, found, strict=True) if recording}
    log.info("%s: %d texts, %d with a recording", path, len(rows), len(recordings))
    return [
        SpokenText(name, text, recordings.get(name), speaker)
        for name, (_, text, speaker) in zip(names, rows, strict=True)
    ]


def _read_rows(path: Path) -> list[tuple[str, str, str]]:
    """Return the first column, the text and the speaker of each line."""
    if not path.is_file():
        raise FileNotFoundError(f"--texts: {path}: no such file")
    first_line = next((line for line in read_lines(path) if line.strip()), "")
    if "|" not in first_line or "\t" in first_line:
        rows = [(phrase.output, phrase.text or "", phrase.speaker or "") for phrase in read_phrases(path)]
    else:
        rows = [(columns[0], list_text(columns), list_speaker(columns)) for columns in read_filelist(path)]
    for name, text, _ in rows:
        if not text:
            raise InputError(f"--texts: {path}: {name} has no text")
    return rows


def _without_suffix(name: str) -> str:
    return str(Path(name).with_suffix("")) if is_audio_file(Path(name)) else name


def _find_recording(first: str, folders: tuple[Path, ...]) -> Path | None:
    name = Path(first)
    inside = [name] if is_audio_file(name) else [Path("wavs") / f"{first}{suffix}" for suffix in AUDIO_SUFFIXES]
    paths = (folder / path for folder in folders for path in inside)
    return next((path for path in paths if path.is_file()), None)
