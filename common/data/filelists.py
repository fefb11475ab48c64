"""File lists (`path`, `path|text`, `path|pitch|text`), random splits, and the check of their audio files."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.audio_files import describe_wrong_rate, load_wav, wav_info
from common.audio_input.names import LONGEST_NAME
from common.errors import InputError, first_three, others_go_on
from common.files.atomic import write_whole
from common.files.text_files import read_lines
from common.project import command

log = logging.getLogger(__name__)


def read_filelist(path: str | Path) -> list[list[str]]:
    """Read the columns of each line. Blank lines are skipped.

    Raises:
        FileNotFoundError: no such list.
        InputError: the list is empty or not UTF-8, or a line has an empty path.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file list; make it with: {command('bash scripts/prepare_dataset.sh')}"
        )
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        columns = [column.strip() for column in line.split("|")]
        if line.strip() and not columns[0]:
            raise InputError(f"{path}: line {number} has no path before its first '|'")
        if line.strip():
            rows.append(columns)
    if not rows:
        raise InputError(f"{path}: the file list is empty")
    return rows


def list_text(row: Sequence[str]) -> str:
    """Return the text of a row `wav|text` or `wav|pitch|text|speaker` of a list, or of metadata: its last column."""
    return row[2] if _has_pitch(row) else row[-1] if len(row) > 1 else ""


def list_speaker(row: Sequence[str]) -> str:
    """Return the speaker of a row `wav|pitch|text|speaker` of a list, or nothing."""
    return row[3] if _has_pitch(row) and len(row) > 3 else ""


def _has_pitch(row: Sequence[str]) -> bool:
    return len(row) > 2 and Path(row[1]).suffix in (".pt", ".npy")


def read_paths(filelists: Sequence[str | Path], root: str | Path) -> list[Path]:
    """Return `root` / path for each path (first column) of several lists.

    Raises:
        FileNotFoundError, InputError: see `read_filelist` and `listed_path`.
    """
    return [listed_path(row[0], Path(root), filelist) for filelist in filelists for row in read_filelist(filelist)]


def listed_path(name: str, root: Path, source: str | Path) -> Path:
    """Return the file inside `root` that a file list or phrase file names, relative to `root` or absolute.

    Links in a data set are its owner's, and are followed.

    Args:
        name: the path in the list.
        root: the data set. The result begins with it.
        source: the list, for messages.

    Raises:
        InputError: a path outside the data set. A list of another person must not choose what is read.
    """
    path = Path(name)
    if path.is_absolute() and path.is_relative_to(root.absolute()):
        path = path.relative_to(root.absolute())
    if path.is_absolute() or ".." in path.parts:
        raise InputError(
            f"{source}: {name}: file lists name paths inside the data set {root}; give --dataset-path a folder that "
            "holds them all"
        )
    if not path.name:
        raise InputError(f"{source}: {name}: is the data set itself, not a file in it")
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
        raise InputError(f"{source}: {name}: a name longer than {LONGEST_NAME} bytes, which no file can have")
    return root / path


def split_randomly(ids: Iterable[str], num_val: int, seed: int = 1234) -> dict[str, list[str]]:
    """Split clips at random, but reproducibly, into training and `num_val` validation clips."""
    clips = sorted(ids)
    if not 0 < num_val < len(clips):
        raise InputError(
            f"--validation-clips: {num_val} of {len(clips)} clips leaves no training or no validation data"
        )
    chosen = set(np.random.default_rng(seed).choice(len(clips), num_val, replace=False).tolist())
    return {
        "train": [clip for i, clip in enumerate(clips) if i not in chosen],
        "val": [clip for i, clip in enumerate(clips) if i in chosen],
    }


def check_wavs(paths: Sequence[Path], sampling_rate: int | None, progress: bool = False, decode: bool = False) -> None:
    """Check all files before any work starts, see `find_unusable_wavs`.

    Raises:
        InputError: the number of unusable files, and the first three problems.
    """
    if problems := find_unusable_wavs(paths, sampling_rate, progress, decode):
        count, listed = len([path for path in paths if path in problems]), first_three([*problems.values()])
        raise InputError(f"{count} of {len(paths)} audio files cannot be used: {listed}")


def find_unusable_wavs(
    paths: Sequence[Path], sampling_rate: int | None, progress: bool = False, decode: bool = False
) -> dict[Path, str]:
    """Check the header of every file.

    Files with several channels are accepted, with a warning that the channels are averaged.

    Args:
        paths: the audio files.
        sampling_rate: expected rate in Hz, or None to accept any rate.
        progress: show a progress bar.
        decode: also decode files that are not PCM wav.

    Returns:
        Files that are missing, unreadable, or empty, or have another rate, and their problems.
    """
    problems: dict[Path, str] = {}
    stereo = []
    for path in tqdm(paths, "checking audio", disable=not progress, leave=False):
        found: list[str] = []
        with others_go_on(path, found):
            info = wav_info(path)
            if info.channels > 1:
                stereo.append(path)
            if sampling_rate and info.sampling_rate != sampling_rate:
                raise InputError(describe_wrong_rate(path, info.sampling_rate, sampling_rate))
            if decode and not info.is_pcm_wav:  # only this shows whether they are complete and finite
                load_wav(path)
        problems.update((path, line) for line in found)
    for path, count in Counter(paths).items():
        if count > 1:
            log.warning("%s is listed %d times", path, count)
    if stereo:
        log.warning("%d files have several channels, which are averaged: %s, ...", len(stereo), stereo[0])
    return problems


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file atomically."""
    write_whole(path, "".join(f"{line}\n" for line in lines).encode())
