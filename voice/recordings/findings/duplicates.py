"""Clips that repeat others: the same text, which is fine, and the same audio, which is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import signal

from common.audio_files import load_wav
from common.data.prompts import compared_words
from common.files.fingerprints import file_digest
from voice.recordings.segment import Segment

MOST_SECONDS_APART = 0.3  # in length, of two copies of the same audio that were cut separately
# Of waveforms. The highest of 146 pairs of readings of the same sentence by one speaker was 0.35. Copies through AAC at
# 64 kbit/s, with noise, had 0.97 and more.
SAME_CORRELATION = 0.7
_AVERAGED = 4  # samples, which saves time and keeps the frequencies that matter


def group_by_text(segments: Sequence[Segment]) -> dict[str, list[Segment]]:
    """Return the segments of each text, by its words."""
    groups: dict[str, list[Segment]] = defaultdict(list)
    for segment in segments:
        groups[compared_words(segment.text)].append(segment)
    return dict(groups)


def find_same_audio(segments: Sequence[Segment], wavs: Path) -> dict[str, str]:
    """Return the clips whose audio is also in an earlier clip, with the earlier one.

    Copies of a file are found. Copies in another format or level are found if the clips have the same text.

    Args:
        segments: with clips below `wavs`. Clips without a file are ignored.
        wavs: folder of the clips.
    """
    paths = {segment.clip: wavs / f"{segment.clip}.wav" for segment in segments}
    paths = {clip: path for clip, path in paths.items() if path.is_file()}
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for clip, path in paths.items():
        other = first.setdefault(file_digest(path), clip)
        if other != clip:
            found[clip] = other
    for words, group in group_by_text([item for item in segments if item.clip in paths]).items():
        others = [item for item in group if item.clip not in found]
        if words and len(others) > 1:
            found |= _find_copies(others, paths)
    return found


def _find_copies(segments: Sequence[Segment], paths: Mapping[str, Path]) -> dict[str, str]:
    """Compare each clip of a text with the earlier ones of about its length."""
    found: dict[str, str] = {}
    loaded: dict[str, np.ndarray] = {}
    for place, segment in enumerate(segments):
        for other in segments[:place]:
            if other.clip in found or abs(other.seconds - segment.seconds) > MOST_SECONDS_APART:
                continue
            for clip in (segment.clip, other.clip):
                if clip not in loaded:
                    wav = load_wav(paths[clip])[0]
                    loaded[clip] = wav[: wav.size // _AVERAGED * _AVERAGED].reshape(-1, _AVERAGED).mean(axis=1)
            if correlate(loaded[segment.clip], loaded[other.clip]) > SAME_CORRELATION:
                found[segment.clip] = other.clip
                break
    return found


def correlate(one: np.ndarray, other: np.ndarray) -> float:
    """Return the highest correlation of two signals over all shifts, 0 to 1.

    Args:
        one: signal [T].
        other: signal [T'].
    """
    energy = float(np.sqrt(np.dot(one, one) * np.dot(other, other)))
    if not energy:
        return 0.0
    return float(np.abs(signal.correlate(one, other, method="fft")).max() / energy)
