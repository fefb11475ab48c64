"""Decode audio files in blocks, within limits that are checked before anything is decoded.

Shapes: T samples, C channels.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from common.audio_input.names import AV_SUFFIXES, VIDEO_SUFFIXES
from common.errors import InputError
from common.resources import available_memory

RATE_LIMITS_HZ = (1000, 768_000)  # beyond them, a header is damaged
MAX_CHANNELS = 64
MAX_HOURS = 24
BLOCK_SAMPLES = 1 << 16
_BYTES_PER_SAMPLE = 16  # mono float64, and what the next step makes of it
_ALWAYS_FREE_BYTES = 1 << 26  # less is not worth asking the system
_OPEN_END = 1 << 60  # libsndfile's number of frames is larger if the header holds none
_UNKNOWN_SIZE = 0x7FFF0000  # programs that write to a pipe announce this size or a larger one
_SLACK_BYTES = 64  # sizes of some programs are wrong by a few bytes
_WAV_CHUNKS = (b"LIST", b"id3 ", b"fact", b"cue ", b"smpl", b"bext", b"PEAK")


@dataclasses.dataclass(frozen=True)
class AudioHeader:
    """Properties in the header of an audio file. `frames` is None if the header does not hold the length."""

    sampling_rate: int
    channels: int
    frames: int | None
    container: str
    subtype: str


@contextlib.contextmanager
def open_audio(path: Path) -> Iterator[tuple[AudioHeader, Iterator[np.ndarray]]]:
    """Open an audio file. Yield its header and an iterator of blocks [T, C], float64 with full scale 1.0.

    Raises:
        FileNotFoundError: no such file.
        InputError: no decoder for it, damaged, truncated, without samples, or a header beyond the limits.
    """
    if not path.is_file():
        is_link = path.is_symlink()
        raise FileNotFoundError(f"{path}: {'a link to a file that is not there' if is_link else 'no such file'}")
    if path.suffix.lower() in (*AV_SUFFIXES, *VIDEO_SUFFIXES):
        yield from _open_with_av(path)
        return
    try:
        with _find_source(path) as source, _Sequential(source) as file:
            frames = file.frames if 0 <= file.frames < _OPEN_END else None
            header = AudioHeader(file.samplerate, file.channels, frames, file.format, file.subtype)
            _check_limits(path, header)
            yield header, _blocks(path, file, header)
    except soundfile.SoundFileError as error:
        raise InputError(f"{path}: not a readable audio file ({_format_reason(error)})") from error


class _Sequential(soundfile.SoundFile):
    """A file read from beginning to end. soundfile seeks after each block, which fails in a FLAC of unknown length."""

    def seekable(self) -> bool:
        return False


def _blocks(path: Path, file: soundfile.SoundFile, header: AudioHeader) -> Iterator[np.ndarray]:
    total = 0
    while len(block := file.read(BLOCK_SAMPLES, dtype="float64", always_2d=True)):
        total += len(block)
        check_length(path, total, header.sampling_rate)
        yield block
    if header.container == "FLAC" and header.frames is not None and total < header.frames:
        raise InputError(f"{path}: the audio file is truncated: {total} of {header.frames} samples")


def check_length(path: Path, frames: int, sampling_rate: int) -> None:
    """Raise `InputError` if audio of this length cannot be meant, or does not fit the memory."""
    hours = frames / sampling_rate / 3600
    if hours > MAX_HOURS:
        raise InputError(f"{path}: {hours:.0f} hours of audio according to the file, the limit is {MAX_HOURS}; cut it")
    needed = frames * _BYTES_PER_SAMPLE
    if needed > _ALWAYS_FREE_BYTES and (memory := available_memory()) is not None and needed > memory:
        raise InputError(
            f"{path}: {hours:.1f} hours of audio need {needed / 2**30:.1f} GB of memory, {memory / 2**30:.1f} GB are "
            "free; cut it into shorter files"
        )


def _check_limits(path: Path, header: AudioHeader) -> None:
    lowest, highest = RATE_LIMITS_HZ
    if not lowest <= header.sampling_rate <= highest:
        raise InputError(
            f"{path}: a sampling rate of {header.sampling_rate} Hz according to its header; {lowest} to {highest} Hz "
            "can be read; replace the file"
        )
    if header.channels > MAX_CHANNELS:
        raise InputError(f"{path}: {header.channels} channels according to its header, the limit is {MAX_CHANNELS}")
    if header.frames is not None:
        check_length(path, header.frames, header.sampling_rate)


@contextlib.contextmanager
def _find_source(path: Path) -> Iterator[bytes | _Closed]:
    """Yield what libsndfile opens: the name of the file, as bytes, or a wav file's content with its size corrected."""
    unclosed = _find_unclosed_data(path)
    if unclosed is None:
        yield os.fsencode(path)  # which need not be UTF-8
        return
    with path.open("rb") as file:
        yield _Closed(file, unclosed)


class _Closed:
    """A wav file with the size of its data at `place` set to the bytes that follow.

    It is read, not mapped: if the file shrank meanwhile, reading a mapped one would end the process.
    """

    def __init__(self, file: BinaryIO, place: int) -> None:
        self._file = file
        rest = min(os.fstat(file.fileno()).st_size - place - 4, 0xFFFFFFFF)
        self._place, self._size = place, rest.to_bytes(4, "little")

    def read(self, count: int = -1) -> bytes:
        start = self._file.tell()
        content = self._file.read(count)
        first, last = max(start, self._place), min(start + len(content), self._place + 4)
        if first < last:
            size = self._size[first - self._place : last - self._place]
            content = content[: first - start] + size + content[last - start :]
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _find_unclosed_data(path: Path) -> int | None:
    """Return the place of a data chunk's size if it is 0 though samples follow: its writer was killed. Else None.

    Only the size of the data chunk counts. RIFF's size is wrong in many files.

    Raises:
        InputError: a truncated or empty wav file, which libsndfile would silently accept.
    """
    actual = path.stat().st_size
    with path.open("rb") as file:
        if file.read(12)[:4] != b"RIFF":
            return None
        while len(chunk := file.read(8)) == 8:
            name, size = chunk[:4], int.from_bytes(chunk[4:], "little")
            if name == b"data":
                end = file.tell() + size
                if end > actual + _SLACK_BYTES and size < _UNKNOWN_SIZE:
                    raise InputError(f"{path}: the audio file is truncated: {actual} of {end} bytes")
                if size == 0 and (not (following := file.read(4)) or following in _WAV_CHUNKS):
                    raise InputError(f"{path}: the audio file has no samples")
                return end - 4 if size == 0 else None
            file.seek(size + size % 2, os.SEEK_CUR)
    return None


def _open_with_av(path: Path) -> Iterator[tuple[AudioHeader, Iterator[np.ndarray]]]:
    try:
        import av
    except ImportError:
        raise InputError(
            f"{path}: {path.suffix} files need PyAV (pip install av); or convert them: ffmpeg -i {path.name} "
            f"{path.with_suffix('.wav').name}"
        ) from None
    try:
        with path.open("rb") as file, av.open(file) as container:
            if not container.streams.audio:
                raise InputError(f"{path}: the file has no audio")
            with _named(path):
                stream = container.streams.audio[0]
                header = AudioHeader(stream.rate, stream.channels, None, path.suffix[1:].upper(), stream.codec.name)
                resampler = av.AudioResampler("dblp", stream.layout.name, stream.rate)
            _check_limits(path, header)
            yield header, _blocks_of_av(path, container, resampler)
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: not a readable audio file ({_format_reason(error)})") from error


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in what PyAV raises besides its own errors, such as for a stream without a decoder."""
    try:
        yield
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a readable audio file ({_format_reason(error)})") from error


def _blocks_of_av(path: Path, container: Any, to_float64: Any) -> Iterator[np.ndarray]:
    """Yield blocks of several frames, whose 1024 samples or so would make every later step slow."""
    total = waiting = 0
    parts: list[np.ndarray] = []
    frames = iter(container.decode(audio=0))
    while True:
        with _named(path):
            frame = next(frames, None)
            made = [] if frame is None else to_float64.resample(frame)
            arrays = [part.to_ndarray().T for part in made]
        if frame is None:
            break
        parts += arrays
        waiting += sum(map(len, arrays))
        if waiting >= BLOCK_SAMPLES:
            total += waiting
            check_length(path, total, frame.sample_rate)
            yield np.concatenate(parts)
            parts, waiting = [], 0
    if parts:
        yield np.concatenate(parts)


def _format_reason(error: Exception) -> str:
    words = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error  # libsndfile's, PyAV's
    reason = " ".join(str(words).split())
    # Of a file that exists: libmpg123's words for contents that are no MP3.
    return "Format not recognised." if reason.startswith("File does not exist or is not a regular file") else reason
