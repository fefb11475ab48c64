"""The voices of a model: their numbers, names, and statistics of pitch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files.json_files import read_json

KEY = "speakers"  # of a checkpoint's `train_setup`: name -> number
PITCH_KEY = "speaker_pitch_hz"  # likewise: mean and standard deviation of each speaker's pitch in Hz, by number
LONGEST_NUMBER = 9  # digits; Python refuses to read thousands of them
SPEAKERS_SUFFIX = "_speakers.json"  # of the file beside the file lists, which prepare_dataset.py writes


def find_speaker(speaker: str, n_speakers: int, names: Mapping[str, int]) -> int | None:
    """Return the number of a speaker that is given as a number below `n_speakers`, or by name. None if unknown."""
    if speaker.isascii() and speaker.isdecimal() and len(speaker) <= LONGEST_NUMBER and int(speaker) < n_speakers:
        return int(speaker)
    return names.get(speaker)


def describe_speakers(n_speakers: int, names: Mapping[str, int]) -> str:
    """Return the speakers that a model knows, for messages: their numbers, and a few names."""
    numbers = f"0 to {n_speakers - 1}" if n_speakers > 1 else "0 only"
    some = ", ".join(list(names)[:5]) + (", ..." if len(names) > 5 else "")
    return f"{numbers} ({some})" if names else numbers


def read_names(path: Path) -> dict[str, int]:
    """Read the file that maps the names of speakers to the numbers 0, 1, 2, ...

    Raises:
        FileNotFoundError: no such file.
        InputError: not such a file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of speakers' names")
    names = stored_names({KEY: read_json(path)})
    if not names:
        raise InputError(f"{path}: does not map names of speakers to the numbers 0, 1, 2, ...")
    return names


def stored_names(setup: Mapping[str, Any]) -> dict[str, int]:
    """Return the names in a checkpoint's `train_setup`, in the order of their numbers, or none if it has none."""
    names = setup.get(KEY)
    if not isinstance(names, Mapping) or not all(type(number) is int for number in names.values()):
        return {}
    ordered = {str(name): number for name, number in sorted(names.items(), key=lambda item: item[1])}
    return ordered if list(ordered.values()) == list(range(len(ordered))) else {}


def stored_pitch(setup: Mapping[str, Any], n_speakers: int) -> list[tuple[float, float]]:
    """Return mean and standard deviation of each speaker's pitch in Hz from a `train_setup`, 0 if unknown."""
    unknown = [(0.0, 0.0)] * n_speakers
    try:
        pitch = [(float(mean_hz), float(std_hz)) for mean_hz, std_hz in setup.get(PITCH_KEY, unknown)]
    except (TypeError, ValueError, OverflowError):
        return unknown
    usable = len(pitch) == n_speakers and all(0 < value < math.inf for pair in pitch for value in pair)
    return pitch if usable else unknown


def names_beside(filelists: tuple[str, ...]) -> dict[str, int]:
    """Read the names in the file that `prepare_dataset.py` wrote beside these lists, if there is one."""
    for filelist in map(Path, filelists):
        name, mark, _ = filelist.name.rpartition("_audio_")
        if mark and (beside := filelist.with_name(name + SPEAKERS_SUFFIX)).is_file():
            return read_names(beside)
    return {}
