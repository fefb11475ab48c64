"""Find the recordings in a user's folder, and their speakers."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from common.audio_input.folders import walk_files
from common.audio_input.names import AUDIO_SUFFIXES, VIDEO_SUFFIXES, is_audio_file, is_video_file
from common.errors import InputError, first_three, printable
from voice.recordings.metadata import read_lists
from voice.recordings.segment import Recording
from voice.recordings.texts.cleaning import clean_text

log = logging.getLogger(__name__)
_LONGEST_ID = 100  # characters
_SUFFIXES = (*AUDIO_SUFFIXES, *VIDEO_SUFFIXES)


def find_recordings(folder: str | Path) -> list[Recording]:
    """Find all audio and video files below a folder, sorted by name.

    If the files lie in two or more sub-folders and none beside these, each sub-folder is a speaker. A single sub-folder
    such as `wavs/` or `wav48/` counts as the folder itself. In other folders, `metadata.csv` may name the speakers.
    Of a recording in several formats, one is used.

    Raises:
        FileNotFoundError: no such folder.
        InputError: no recordings in it, or a damaged `metadata.csv`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: {'a file; give the folder it is in' if folder.exists() else 'no such folder'}"
        )
    paths = sorted(walk_files(folder, lambda path: is_audio_file(path) or is_video_file(path)))
    if not paths:
        raise InputError(f"{folder}: no recordings ({', '.join(_SUFFIXES)}) in this folder")
    paths = _drop_second_microphones(_drop_copies(paths))
    if videos := [path.name for path in paths if is_video_file(path)]:
        log.info("%s: of a video, the first audio track is used", first_three(videos))
    root = _find_root(folder, paths)
    speakers = sorted({path.relative_to(root).parts[0] for path in paths})
    if len(speakers) < 2 or any(path.parent == root for path in paths):
        return _add_listed_speakers(folder, [Recording(path, _name(path, folder)) for path in paths])
    log.info("%d speakers, one for each folder: %s", len(speakers), first_three(speakers))
    return [Recording(path, _name(path, folder), _name_speaker(path.relative_to(root).parts[0])) for path in paths]


def _name(path: Path, folder: Path) -> str:
    """Return the name of a recording, with escapes for bytes that are not UTF-8, which no table could hold."""
    return printable(path.relative_to(folder).as_posix())


def _name_speaker(name: str) -> str:
    """Return a speaker's name as lists can hold it: without bars, line ends and bytes that are not UTF-8."""
    return clean_text(name.encode("utf-8", "replace").decode()) or "_"


def _add_listed_speakers(folder: Path, recordings: Sequence[Recording]) -> list[Recording]:
    """Return the recordings with the speakers that `metadata.csv` names, if these are two or more.

    Recordings that it does not name are then dropped, since their speaker is unknown. One line in the log names them.
    """
    speakers = {name: _name_speaker(speaker) for name, speaker in read_lists(folder, recordings).speakers.items()}
    different = sorted(set(speakers.values()))
    if len(different) < 2:
        return list(recordings)
    log.info("%d speakers in metadata.csv: %s", len(different), first_three(different))
    if unknown := [recording.name for recording in recordings if recording.name not in speakers]:
        log.warning("%s: not used, metadata.csv names speakers, but none for this recording", first_three(unknown))
    return [
        dataclasses.replace(recording, speaker=speakers[recording.name])
        for recording in recordings
        if recording.name in speakers
    ]


def _find_root(folder: Path, paths: Iterable[Path]) -> Path:
    """Return the folder that holds recordings, or several folders with recordings."""
    root = folder
    while True:
        first = {path.relative_to(root).parts[:2] for path in paths}
        inner = {parts[0] for parts in first if len(parts) == 2}
        if any(len(parts) == 1 for parts in first) or len(inner) != 1:
            return root
        root /= inner.pop()


def _drop_copies(paths: Sequence[Path]) -> list[Path]:
    """Keep one file where a recording is there in several formats, in the order of the suffixes."""
    best: dict[Path, Path] = {}
    for path in sorted(paths, key=lambda path: _SUFFIXES.index(path.suffix.lower())):
        best.setdefault(path.with_suffix(""), path)
    dropped = [path.name for path in paths if best[path.with_suffix("")] != path]
    if dropped:
        log.warning("%s: not used, the same recording is there in another format", first_three(dropped))
    return sorted(best.values())


def _drop_second_microphones(paths: Sequence[Path]) -> list[Path]:
    """Drop `x_mic2` beside `x_mic1`: VCTK has each sentence from two microphones."""
    known = set(paths)
    second = {path for path in paths if path.stem.endswith("_mic2")}
    dropped = {path for path in second if path.with_stem(path.stem.removesuffix("_mic2") + "_mic1") in known}
    if dropped:
        log.info("%d files of a second microphone (_mic2) are not used", len(dropped))
    return [path for path in paths if path not in dropped]


def name_recordings(recordings: Sequence[Recording]) -> dict[str, str]:
    """Return an id for each `Recording.name`: part of the names of clips, unique, without spaces and folders.

    With several speakers it starts with the name of the speaker: `p225/chapter_1`.
    """
    ids: dict[str, str] = {}
    taken: set[str] = set()
    for recording in recordings:
        inner = re.split(rf"(?:^|/){re.escape(recording.speaker)}/", recording.name, maxsplit=1)[-1]
        stem = inner.removeprefix("wavs/")
        plain = _plain(stem[: stem.rindex(".")])
        digest = hashlib.sha256(recording.name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        name = plain if len(plain) <= _LONGEST_ID else f"{plain[:_LONGEST_ID]}-{digest}"
        prefix = f"{_plain(recording.speaker)}/" if recording.speaker else ""
        if (prefix + name).lower() in taken:  # file systems may not tell A from a
            name = f"{name}-{digest}"
        taken.add((prefix + name).lower())
        ids[recording.name] = prefix + name
    return ids


def _plain(name: str) -> str:
    # A spreadsheet program would compute an id that begins with a minus.
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".-") or "_"
