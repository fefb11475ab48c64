"""Find the texts that users have of their recordings.

Looked for in this order: subtitles beside the recording, a text file with its name, and `metadata.csv`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from common.audio_input.folders import walk_files
from common.errors import first_three, others_go_on, printable
from common.files.text_files import read_lines
from voice.recordings.metadata import METADATA, read_lists
from voice.recordings.segment import Recording, Transcript
from voice.recordings.texts.cleaning import clean_text
from voice.recordings.texts.subtitles import read_subtitles

log = logging.getLogger(__name__)
TEXT_FOLDERS = ("txt", "text", "texts", "transcripts")  # VCTK has txt/p225/p225_001.txt
SUBTITLES = (".srt", ".vtt")
_TEXTS = (".txt", ".normalized.txt")  # the second of LibriTTS
_WHISPER = (".json", ".tsv")
_MICROPHONE = re.compile(r"_mic\d+$")  # of VCTK, whose texts are named without it


def find_transcripts(folder: Path, recordings: Sequence[Recording], language: str = "en") -> dict[str, Transcript]:
    """Find and read the texts of recordings.

    A damaged file is named in the log, and counts as missing.

    Args:
        folder: the folder of recordings.
        recordings: found in it.
        language: picks among subtitles such as `talk.en.srt` and `talk.de.srt`.

    Returns:
        The texts by `Recording.name`. Recordings without a text are not in it.

    Raises:
        InputError: the only `metadata.csv` cannot be read, or names none of the recordings.
    """
    beside = _Names(folder)
    lists = read_lists(folder, recordings)
    for problem in lists.problems:
        log.warning("%s", problem)
    found: dict[str, Transcript] = {}
    problems: list[str] = []
    for recording in recordings:
        for path, read in _candidates(recording, beside, language):
            with others_go_on(path, problems):
                if (transcript := read(path)) and transcript.text:
                    found[recording.name] = transcript
                    break
                problems.append(f"{path}: has no words")
        else:
            if text := clean_text(lists.texts.get(recording.name, "")):
                found[recording.name] = Transcript(text)
    if problems:
        log.warning("texts that cannot be used: %s", first_three(problems))
    if found:
        log.info("texts are there for %d of %d recordings", len(found), len(recordings))
    return found


class _Names:
    """The files of a folder that may hold texts, by their lower-case path in it.

    A folder of 100,000 clips is listed once, instead of asking for ten names beside each clip.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = {
            printable(path.relative_to(folder).as_posix()).lower(): path
            for path in sorted(walk_files(folder, lambda path: path.suffix.lower() in _SUFFIXES))
        }
        self.by_stem: dict[str, list[str]] = {}  # "sub/talk" -> ["sub/talk.en.srt", ...]
        for name in self.paths:
            folder_part, _, file = name.rpartition("/")
            stem = file.removesuffix(PurePosixPath(file).suffix)
            for key in {stem, PurePosixPath(stem).stem}:
                self.by_stem.setdefault(f"{folder_part}/{key}".lstrip("/"), []).append(name)

    def get(self, name: str) -> Path | None:
        return self.paths.get(name.lower())

    def starting_with(self, stem: str) -> list[str]:
        return self.by_stem.get(stem.lower(), [])


_SUFFIXES = {".csv", ".txt", *SUBTITLES, *_WHISPER}


def _candidates(
    recording: Recording, beside: _Names, language: str
) -> Iterator[tuple[Path, Callable[[Path], Transcript | None]]]:
    """Yield the files that may hold the text of a recording, and their readers, the best first."""
    stem = str(PurePosixPath(recording.name).with_suffix(""))
    for suffix in SUBTITLES:
        if path := _choose_language(stem, suffix, beside, language):
            yield path, read_subtitles
    for name in _text_names(stem):
        if (path := beside.get(name)) and path.name.lower() not in METADATA:
            yield path, _read_text
    for suffix in _WHISPER:
        if path := beside.get(stem + suffix):
            yield path, read_subtitles


def _choose_language(stem: str, suffix: str, beside: _Names, language: str) -> Path | None:
    """Return `talk.en.srt` or else `talk.srt`, or else the only `talk.xx.srt`."""
    for name in (f"{stem}.{language}{suffix}", f"{stem}{suffix}"):
        if path := beside.get(name):
            return path
    others = [name for name in beside.starting_with(stem) if name.endswith(suffix)]
    same = [name for name in others if re.search(rf"\.{re.escape(language.lower())}[-_]\w+\{suffix}$", name)]  # en-GB
    chosen = same or others
    return beside.get(chosen[0]) if len(chosen) == 1 or same else None


def _text_names(stem: str) -> Iterator[str]:
    plain = _MICROPHONE.sub("", stem)
    parts = plain.split("/")
    for suffix in _TEXTS:
        yield f"{stem}{suffix}"
        if plain != stem:
            yield f"{plain}{suffix}"
        for texts in TEXT_FOLDERS:
            for depth in range(len(parts)):  # beside the audio, and instead of each folder above it
                yield "/".join([*parts[:depth], texts, *parts[depth:]]) + suffix
                if depth < len(parts) - 1:
                    yield "/".join([*parts[:depth], texts, *parts[depth + 1 :]]) + suffix


def _read_text(path: Path) -> Transcript:
    return Transcript(clean_text(" ".join(read_lines(path))))
