"""Names of audio files, and the longest name of any file."""

from __future__ import annotations

from pathlib import Path

LONGEST_NAME = 255  # bytes of a file or folder that file systems allow
# libsndfile cannot decode them; PyAV does, if it is installed.
AV_SUFFIXES = (".m4a", ".m4b", ".aac", ".wma", ".amr", ".caf", ".mka")
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".3gp", ".avi", ".m4v")  # likewise; their first audio track
# In order of preference, where a clip exists in several formats.
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", *AV_SUFFIXES)


def is_audio_file(path: Path) -> bool:
    """Return whether the name has an audio suffix, in upper or lower case."""
    return path.suffix.lower() in AUDIO_SUFFIXES


def is_video_file(path: Path) -> bool:
    """Return whether the name has the suffix of a video, whose sound `open_audio` decodes."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_audio(source: Path) -> bool:
    """Return whether a path names an audio file or a folder, which may hold some, rather than a phrase file."""
    return source.is_dir() or is_audio_file(source)


def is_wav_name(output: Path) -> bool:
    """Return whether a path names one wav file, rather than a directory."""
    return output.suffix.lower() == ".wav" and not output.is_dir()
