"""Output of synthesis: the parts of a batch, and the writers of wav files and of raw samples in a pipe."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from io import FileIO, RawIOBase
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.audio import SILENCE, AudioConfig
from common.audio_config import MEL_CONFIG_FILE
from common.audio_files import count_clipped, fade_in, fade_out, join, save_wav, to_int16
from common.data.mel_files import record_config
from common.errors import InputError
from common.files.arrays import save_array
from common.mel_contract import MelContract

PAUSE_SEC = 0.15  # between the pieces of a long text
FADE_SEC = 0.01  # at the ends of pieces, beside the pause
SORTED_BATCHES = 16  # batches whose parts are sorted by length together
SORTED_LENGTH = 300_000  # of these parts together: an hour of mels takes 100 MB
MAX_PADDING_FACTOR = 1.3  # frames of a batch with padding / frames without


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One item of a batch: an output, or one piece of it if its text is long.

    Attributes:
        name: wav file, relative to the output directory.
        index: position among the `count` pieces of the output.
        skip_samples: samples to drop at the beginning.
        num_samples: samples to keep after these, or None for all.
        gain: factor that gives the samples their level in the output.
    """

    name: str
    index: int = 0
    count: int = 1
    skip_samples: int = 0
    num_samples: int | None = None
    gain: float = 1.0

    @property
    def length(self) -> int:
        """A number that the cost of synthesis grows with. Only used to compare parts."""
        raise NotImplementedError

    def finished(self, wav: Tensor) -> np.ndarray:
        """Return the vocoder's samples [T] as they are in the output. It is a copy: a slice would keep the batch."""
        return wav.numpy()[self.skip_samples :][: self.num_samples] * np.float32(self.gain)


def batches(parts: Iterable[Part], size: int) -> Iterator[list[Part]]:
    """Yield batches of up to `size` parts of similar length, to keep padding low.

    At most `size * SORTED_BATCHES` parts are in memory at a time, and fewer long ones.
    """
    for window in _windows(parts, size * SORTED_BATCHES):
        batch: list[Part] = []
        total = 0
        for part in sorted(window, key=lambda part: part.length, reverse=True):
            total += part.length
            # The longest comes first. One long clip among short ones would multiply time and memory.
            if batch and (len(batch) == size or batch[0].length * (len(batch) + 1) > MAX_PADDING_FACTOR * total):
                yield batch
                batch, total = [], part.length
            batch.append(part)
        yield batch


def _windows(parts: Iterable[Part], most: int) -> Iterator[list[Part]]:
    """Divide parts into lists of up to `most`, which end once they have `SORTED_LENGTH`."""
    window: list[Part] = []
    length = 0
    for part in parts:
        window.append(part)
        length += part.length
        if len(window) == most or length >= SORTED_LENGTH:
            yield window
            window, length = [], 0
    if window:
        yield window


class SpeechWriter:
    """Collect pieces, in any order, and write each output as soon as all of its pieces are there.

    Args:
        folder: the output directory.
        audio: signal settings of the wav files.
        fade_frames: frames over which the end of each output fades.
        save_mels: also write the mel [M, L] of each output as `<name>.npy` beside its wav.
        file: the wav file of the only output, in place of a file in `folder`.
    """

    def __init__(
        self,
        folder: Path,
        audio: AudioConfig,
        fade_frames: int = 0,
        save_mels: bool = False,
        file: Path | None = None,
    ) -> None:
        self.audio = audio
        self._file = file
        self._folder = folder
        self._fade_samples = fade_frames * audio.hop_length
        self._save_mels = save_mels
        self.clipped: dict[str, int] = {}  # output name -> samples beyond full scale
        self._waiting: dict[str, dict[int, tuple[np.ndarray, np.ndarray | None]]] = {}
        self._chunks: list[Tensor] = []

    @property
    def companions(self) -> tuple[str, ...]:
        """Suffixes of the files written beside each wav."""
        return (".npy",) if self._save_mels else ()

    def add(self, part: Part, wav: Tensor, mel: Tensor) -> bool:
        """Take the audio [T] of a piece and its mel [M, L]. Return whether that completed a file."""
        kept_mel = np.array(mel.cpu().float().numpy()) if self._save_mels else None  # a copy, as in `finished`
        pieces = self._waiting.setdefault(part.name, {})
        pieces[part.index] = part.finished(wav), kept_mel
        if len(pieces) < part.count:
            return False
        del self._waiting[part.name]
        wavs, mels = zip(*(pieces[index] for index in sorted(pieces)), strict=True)
        if clipped := self._write(self._file or self._folder / part.name, wavs, mels):
            self.clipped[part.name] = clipped
        return True

    def add_chunk(self, part: Part, wav: Tensor) -> None:
        """Take the next samples [T] of a piece. Pieces come one after the other."""
        self._chunks.append(wav)

    def finish(self, part: Part, mel: Tensor) -> bool:
        """End the piece that came in chunks. Return whether that completed a file."""
        wav, self._chunks = torch.cat(self._chunks), []
        return self.add(part, wav, mel)

    def _write(self, path: Path, wavs: Sequence[np.ndarray], mels: Sequence[np.ndarray]) -> int:
        wav = join_pieces(wavs, self.audio)
        if self._save_mels:
            save_array(path.with_suffix(".npy"), _joined_mels(mels, _pause_frames(self.audio)))
        # Written last: it marks the output as complete.
        return save_wav(path, fade_out(wav, self._fade_samples), self.audio.sampling_rate)


class PcmWriter:
    """Write speech chunk by chunk as raw samples (16 bits, signed, little endian, mono), one output after the other.

    The samples are the same as in `SpeechWriter`'s files. Only samples that may have to fade are held back: the
    last 10 ms of a piece before a pause, and the last `fade_frames` of an output.

    Args:
        out: unbuffered, so that each chunk can be played at once.
        audio: signal settings of the speech.
        fade_frames: frames over which the end of each output fades.
    """

    def __init__(self, out: RawIOBase, audio: AudioConfig, fade_frames: int = 0) -> None:
        self.audio = audio
        self.clipped: dict[str, int] = {}  # output name -> samples beyond full scale
        self._out = out
        self._output = _Fading(0, fade_frames * audio.hop_length)
        self._piece: _Fading | None = None
        self._position = 0  # in the piece, in samples

    def add_chunk(self, part: Part, wav: Tensor) -> None:
        """Take the next samples [T] of a piece. Pieces come in order, one after the other."""
        if self._piece is None:
            fade = _fade_samples(self.audio)
            self._piece = _Fading(fade if part.index > 0 else 0, fade if part.index < part.count - 1 else 0)
        start = max(0, part.skip_samples - self._position)
        stop = len(wav)
        if part.num_samples is not None:
            stop = max(start, part.skip_samples + part.num_samples - self._position)
        self._position += len(wav)
        self._write(part, self._output.push(self._piece.push(wav.numpy()[start:stop] * np.float32(part.gain))))

    def finish(self, part: Part, mel: Tensor) -> bool:
        """End the piece, with a pause if more follow. Return whether it was the output's last."""
        assert self._piece is not None
        rest, self._piece, self._position = self._piece.end(), None, 0
        is_last = part.index == part.count - 1
        if not is_last:
            rest = np.pad(rest, (0, _pause_frames(self.audio) * self.audio.hop_length))
        self._write(part, self._output.push(rest))
        if is_last:
            self._write(part, self._output.end())
        return is_last

    def _write(self, part: Part, wav: np.ndarray) -> None:
        if clipped := count_clipped(wav):
            self.clipped[part.name] = self.clipped.get(part.name, 0) + clipped
        content = memoryview(to_int16(wav, part.name).astype("<i2").tobytes())
        while content:  # a pipe may take only part of it
            content = content[self._out.write(content) or 0 :]


def open_stdout() -> FileIO:
    """Open standard output for raw samples, unbuffered: nothing is written again at exit if the player has ended.

    Raises:
        InputError: it is a terminal or closed.
    """
    if sys.stdout is None or sys.stdout.isatty():
        raise InputError("-o -: stdout is a terminal or closed; add a player, such as | aplay -f S16_LE -r 22050")
    return FileIO(sys.stdout.fileno(), "w", closefd=False)


class _Fading:
    """Fade samples that come in chunks at both ends, passing each sample on as soon as its gain is known.

    Args:
        in_samples, out_samples: lengths of the fades, as in `fade_in` and `fade_out`.
    """

    def __init__(self, in_samples: int, out_samples: int) -> None:
        self._in_samples = in_samples
        self._out_samples = out_samples
        self._pending = np.zeros(0, np.float32)

    def push(self, wav: np.ndarray) -> np.ndarray:
        """Take the next samples [T], return the faded samples that are final."""
        self._pending = np.concatenate([self._pending, wav])
        if len(self._pending) < self._in_samples:  # if the signal ended here, the fade would be shorter
            return self._pending[:0]
        wav, self._in_samples = fade_in(self._pending, self._in_samples), 0
        final = max(0, len(wav) - self._out_samples)
        self._pending = wav[final:]
        return wav[:final]

    def end(self) -> np.ndarray:
        """Return the remaining samples, faded out. Later samples start a signal without fade-in."""
        rest = fade_out(fade_in(self._pending, self._in_samples), self._out_samples)
        self._pending = self._pending[:0]
        return rest


def join_pieces(wavs: Sequence[np.ndarray], audio: AudioConfig) -> np.ndarray:
    """Join the pieces [T_i] of an output to [T], with a pause between them."""
    return join(wavs, _pause_frames(audio) * audio.hop_length, _fade_samples(audio))


def _pause_frames(audio: AudioConfig) -> int:
    return round(PAUSE_SEC * audio.sampling_rate / audio.hop_length)


def _fade_samples(audio: AudioConfig) -> int:
    return round(FADE_SEC * audio.sampling_rate)


def _joined_mels(mels: Sequence[np.ndarray], pause_frames: int) -> np.ndarray:
    """Join mels [M, L_i] to [M, L], with silent frames where the audio has pauses."""
    pause = np.full((mels[0].shape[0], pause_frames), SILENCE, dtype=np.float32)
    parts = [part for mel in mels for part in (pause, mel)]
    return np.concatenate(parts[1:], axis=1)


def describe_saved_mels(names: Sequence[str], folder: Path, audio: AudioConfig, inputs: Collection[Path] = ()) -> None:
    """Write the description of `SpeechWriter`'s mels, for programs that read them.

    Args:
        names: wav files of the outputs.
        folder: the output directory.
        audio: signal settings of the mels.
        inputs: files that must not be overwritten.

    Raises:
        InputError: two outputs would share a mel file, an input would be overwritten, or the folder holds mels with
            other settings.
    """
    targets: dict[Path, str] = {}
    for name in names:
        target = Path(name).with_suffix(".npy")
        if target in targets:
            raise InputError(f"--save-mels: the mels of {targets[target]} and {name} would both be written to {target}")
        targets[target] = name
        if any((folder / target).resolve() == path.resolve() for path in inputs):
            raise InputError(f"--save-mels: {folder / target} is read (pitch) and would be overwritten; rename it")
    contract = MelContract(audio, peak_normalised=False).to_dict()
    record_config(folder / MEL_CONFIG_FILE, contract, [folder / target for target in targets], "mels")
