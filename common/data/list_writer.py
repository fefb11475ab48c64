"""Write the file lists of a data set: its parts, with texts, pitch files and speakers."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.audio_files import list_audio_files
from common.audio_input.names import AUDIO_SUFFIXES, is_audio_file
from common.data.filelists import split_randomly, write_lines
from common.data.flags import PrepareConfig
from common.data.ljspeech import LJSPEECH_COLUMNS, split_ljspeech
from common.data.mel_files import feature_name
from common.data.metadata import Metadata, number_speakers, read_metadata
from common.data.prompts import split_by_prompt
from common.data.report import DataReport
from common.errors import InputError

log = logging.getLogger(__name__)
LONGEST_SHOWN = 60  # characters of an id in messages
SPEAKERS_SUFFIX = "_speakers.json"  # of the file beside the lists that maps names to numbers


def write_filelists(root: Path, cfg: PrepareConfig, least_samples: int) -> None:
    """Write `<name>_audio_<part>.txt` with one wav path per line, and lists with texts and pitch files.

    The lists with pitch files exist for the whole data set and for each part, the list with texts for the whole one. If
    the metadata names speakers, the lists with pitch files have their number in a fourth column, and
    `<name>_speakers.json` maps names to numbers.

    `<name>_report.txt` lists what to look at: see `DataReport`.

    Args:
        root: the data set.
        cfg: settings.
        least_samples: samples that a mel spectrogram needs.

    Raises:
        InputError: clips without audio or text, unless --skip-missing leaves them out. See also `read_metadata`.
    """
    columns = cfg.columns or (LJSPEECH_COLUMNS if cfg.split == "ljspeech" else ())
    metadata = read_metadata(root / "metadata.csv", columns)
    wavs = find_usable(root, metadata, skip=cfg.skip_missing)
    transcripts = dict(metadata.texts)
    if cfg.split == "ljspeech":
        name, parts = cfg.name or "ljs", split_ljspeech(transcripts)
        parts = {part: [clip for clip in clips if clip in wavs] for part, clips in parts.items()}
    else:
        name = cfg.name or root.resolve().name
        used = {clip: text for clip, text in transcripts.items() if clip in wavs}
        if cfg.split == "prompt":
            parts = split_by_prompt(used, speakers=metadata.speakers)
        else:
            parts = split_randomly(used, cfg.validation_clips or min(100, max(1, len(used) // 10)))
        parts["all"] = list(used)
    # A bar would end a column.
    texts = {clip: " ".join(text.replace("|", " ").split()) for clip, text in transcripts.items()}
    numbers = number_speakers(metadata.speakers)
    speaker = {clip: f"|{numbers[found]}" for clip, found in metadata.speakers.items()}
    folder = Path(cfg.write_filelists)
    for part, clips in parts.items():
        if part != "all":
            write_lines(folder / f"{name}_audio_{part}.txt", (wavs[clip] for clip in clips))
    write_lines(folder / f"{name}_audio_text.txt", (f"{wavs[clip]}|{texts[clip]}" for clip in parts["all"]))
    for part, clips in parts.items():
        suffix = "" if part == "all" else f"_{part}"
        rows = (
            f"{wavs[c]}|pitch/{feature_name(Path(wavs[c])).as_posix()}|{texts[c]}{speaker.get(c, '')}" for c in clips
        )
        write_lines(folder / f"{name}_audio_pitch_text{suffix}.txt", rows)
    names = folder / f"{name}{SPEAKERS_SUFFIX}"
    if numbers:
        write_lines(names, [json.dumps(numbers, indent=1, ensure_ascii=False)])
        log.info("%s: %d in all: %s", names, len(numbers), _list_three(list(numbers)))
    else:  # of an earlier state of the data set
        names.unlink(missing_ok=True)
    log.info("%s: %s", folder, ", ".join(f"{len(clips)} {part}" for part, clips in parts.items()))
    report = DataReport(root, metadata, {clip: wavs[clip] for clip in parts["all"]}, least_samples)
    write_lines(folder / f"{name}_report.txt", report.lines())
    log.info("%s: %s", folder / f"{name}_report.txt", report.summary())


def find_usable(root: Path, metadata: Metadata, skip: bool = False) -> dict[str, str]:
    """Map the clips to their audio files, relative to the data set.

    Args:
        root: the data set.
        metadata: its metadata.
        skip: leave out, with a warning, clips without audio or text.

    Raises:
        InputError: clips without audio or text, or no usable clip at all.
    """
    found = find_clips(root, metadata.texts, metadata.speakers)
    no_audio = [clip for clip in metadata.texts if clip not in found]
    no_text = [clip for clip in found if not metadata.texts[clip]]
    total = len(metadata.texts)
    for clips, what in ((no_audio, "no audio"), (no_text, "no text")):
        if not clips:
            continue
        where = f", such as {root / 'wavs' / _list_three(clips[:1])}.wav" if what == "no audio" else ""
        message = f"{len(clips)} of {total} clips of metadata.csv have {what}: {_list_three(clips)}{where}"
        if not skip or len(no_audio) + len(no_text) == total:
            raise InputError(message if skip else f"{message}; --skip-missing leaves them out")
        log.warning("%s; skipped", message)
    return {clip: path for clip, path in found.items() if metadata.texts[clip]}


def find_clips(root: Path, clips: Sequence[str] | Mapping[str, str], speakers: Mapping[str, str]) -> dict[str, str]:
    """Find audio files by the ids of clips: below `wavs/`, in the folder of the speaker there, or as a path.

    Returns:
        id -> path relative to the data set, of the clips that have audio.

    Raises:
        InputError: a name that would break the lists.
    """
    wavs = root / "wavs"
    by_name: dict[str, str] = {}
    files = list_audio_files(wavs) if wavs.is_dir() else []
    # Where a clip exists in several formats, the first one of `AUDIO_SUFFIXES` wins.
    for path in sorted(files, key=lambda path: AUDIO_SUFFIXES.index(path.suffix.lower()), reverse=True):
        by_name[path.relative_to(wavs).with_suffix("").as_posix()] = path.relative_to(root).as_posix()
    found = {}
    for clip in clips:
        names = (clip, f"{speakers[clip]}/{clip}") if clip in speakers else (clip,)
        file = next((by_name[name] for name in names if name in by_name), None) or _find_path(root, clip)
        if file and ("|" in file or "\n" in file or "\r" in file):
            raise InputError(f"{file!r}: a file name in a list must not contain a bar or the end of a line")
        if file:
            found[clip] = file
    return found


def _find_path(root: Path, clip: str) -> str:
    """Return the path of an id that is one, relative to the data set, or "". It lies inside the data set."""
    top = root.resolve()
    try:
        for suffix in AUDIO_SUFFIXES:
            path = (root / f"{clip}{suffix}").resolve()
            if path.is_relative_to(top) and is_audio_file(path) and path.is_file():
                return path.relative_to(top).as_posix()
    except (OSError, ValueError):  # a name that no file can have
        pass
    return ""


def _list_three(names: Sequence[str]) -> str:
    shown = (name if len(name) <= LONGEST_SHOWN else name[: LONGEST_SHOWN - 3] + "..." for name in names[:3])
    return ", ".join(shown) + (", ..." if len(names) > 3 else "")
