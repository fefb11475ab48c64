"""The recordings of an evaluation, and the files of a folder that resynthesise them."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.audio_config import AudioConfig
from common.audio_files import PEAK, find_peak, list_audio_files, load_wav_at, wav_info
from common.audio_input.names import is_audio_file
from common.data.filelists import read_paths
from common.data.metadata import read_metadata
from common.errors import InputError, others_go_on
from common.synthesis.phrases import safe_name
from evaluation.spectra import level_db

log = logging.getLogger(__name__)
MIN_SAMPLES = 4096  # the longest window of the metrics
SILENT_BELOW_DB = -80.0  # relative to full scale
LENGTH_TOLERANCE_SAMPLES = 1024  # some systems add or drop a few frames at either end


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip of the data set that is evaluated.

    Attributes:
        name: path relative to the data set, without suffix.
        path: the file.
        index: position in the list, from which its validation segments are drawn.
    """

    name: str
    path: Path
    index: int


@dataclasses.dataclass(frozen=True)
class Problem:
    """Why a recording, a system's resynthesis of it, or only one `figure` (the name of a metric) was not evaluated."""

    clip: str
    system: str
    reason: str
    figure: str = ""


def find_clips(reference: Path, dataset: Path, limit: int = 0) -> list[Clip]:
    """Return the recordings of a folder, or of a file list with paths relative to `dataset`.

    Raises:
        FileNotFoundError: no such folder or list.
        InputError: there are none, or two have the same name.
    """
    if not reference.exists():
        raise FileNotFoundError(f"{reference}: no such folder or file list (-i)")
    if reference.is_dir():
        root, paths = reference, list_audio_files(reference)
    elif is_audio_file(reference):
        raise InputError(f"-i: {reference} is an audio file; give a folder of them, or a file list")
    else:
        root, paths = dataset, read_paths([reference], dataset)
    clips = [Clip(clip_name(path, root), path, i) for i, path in enumerate(paths)]
    name, count = Counter(clip.name for clip in clips).most_common(1)[0]
    if count > 1:
        raise InputError(f"{reference}: {count} recordings are called {name}")
    return clips[: limit or None]


def clip_name(path: Path, root: Path) -> str:
    """Return the path relative to `root` without suffix, made safe so that it cannot lead out of a folder."""
    return safe_name(path.relative_to(root).with_suffix(".wav").as_posix()).removesuffix(".wav")


def find_resynthesised(folder: Path, clips: Sequence[Clip]) -> dict[str, Path]:
    """Map clip names to files of a folder, as `match_files` does."""
    return match_files(folder, [clip.name for clip in clips], "recording")


def match_files(folder: Path, names: Sequence[str], called: str) -> dict[str, Path]:
    """Map names to audio files of a folder, by relative path, else by file name where it is unique on both sides.

    Args:
        folder: it is searched with its sub-folders.
        names: paths without suffix.
        called: what has these names, for messages.

    Raises:
        InputError: the folder has no audio files, or none with any of the names.
    """
    files = list_audio_files(folder)
    by_path = {clip_name(path, folder): path for path in files}
    file_names = Counter(path.stem for path in files)
    last_parts = Counter(Path(name).name for name in names)
    by_file_name = {path.stem: path for path in files if file_names[path.stem] == 1}
    found = {}
    for name in names:
        last = Path(name).name
        if name in by_path:
            found[name] = by_path[name]
        elif last_parts[last] == 1 and last in by_file_name:
            found[name] = by_file_name[last]
    if not found:
        raise InputError(f"{folder}: none of its {len(files)} audio files is named like a {called}, such as {names[0]}")
    if unused := len(files) - len(set(found.values())):
        log.info("%s: %d of its %d audio files match no %s", folder, unused, len(files), called)
    return found


def common_rate(clips: Sequence[Clip]) -> int:
    """Return the sampling rate of most recordings, in Hz.

    Raises:
        InputError: none of them can be read.
    """
    rates: Counter[int] = Counter()
    problems: list[str] = []
    for clip in clips:
        with others_go_on(clip.path, problems):
            rates[wav_info(clip.path).sampling_rate] += 1
    if not rates:
        raise InputError(f"none of the {len(clips)} recordings can be read: {problems[0]}")
    return rates.most_common(1)[0][0]


def load_recording(clip: Clip, audio: AudioConfig, normalise: bool) -> tuple[np.ndarray, float]:
    """Return a recording [T] cut to whole hops, and the factor by which it was scaled.

    Raises:
        InputError, OSError: it cannot be read or compared.
    """
    wav = load_wav_at(clip.path, audio.sampling_rate)
    whole = wav[: len(wav) // audio.hop_length * audio.hop_length]
    if len(whole) < MIN_SAMPLES:
        raise InputError(f"{clip.path}: {len(wav)} samples are too few to compare, the minimum is {MIN_SAMPLES}")
    if level_db(whole) < SILENT_BELOW_DB:
        raise InputError(f"{clip.path}: the recording is silent")
    gain = PEAK / find_peak(wav) if normalise else 1.0
    return whole * gain, gain


def load_resynthesised(path: Path, length: int, gain: float, sampling_rate: int) -> np.ndarray:
    """Return resynthesised audio [T], cut or padded to `length` samples and scaled as its recording was.

    Raises:
        InputError, OSError: it cannot be read or compared.
    """
    wav = load_wav_at(path, sampling_rate)
    if abs(len(wav) - length) > LENGTH_TOLERANCE_SAMPLES:
        raise InputError(f"{path}: {len(wav)} samples, but the recording has {length}: not the same speech")
    return np.pad(wav, (0, max(0, length - len(wav))))[:length] * gain


def check_audible(wav: np.ndarray, origin: str) -> np.ndarray:
    """Return the audio, or raise InputError if it is silent or not finite: its figures would mean nothing."""
    if not np.isfinite(wav).all():
        raise InputError(f"{origin}: the resynthesised audio has samples that are not finite numbers")
    if level_db(wav) < SILENT_BELOW_DB:
        raise InputError(f"{origin}: the resynthesised audio is silent")
    return wav


def find_transcripts(reference: Path, dataset: Path) -> dict[str, str]:
    """Map file names without suffix to texts, if the data set has a metadata.csv as LJSpeech does. Else empty."""
    for folder in (reference, reference.parent) if reference.is_dir() else (dataset,):
        try:
            return read_metadata(folder / "metadata.csv").texts
        except (InputError, OSError):
            continue
    return {}
