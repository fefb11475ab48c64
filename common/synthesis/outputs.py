"""Speech on its way out: what a batch is made of, and the files, or the samples in a pipe, that its items become."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from io import RawIOBase
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.audio import MEL_CONFIG_FILE, SILENCE, AudioConfig
from common.audio_files import fade_in, fade_out, join, save_wav, to_int16
from common.data.mel_files import record_config
from common.errors import InputError
from common.files.arrays import save_array
from common.mel_contract import MelContract

PAUSE_SEC = 0.15  # between the pieces of a long text
FADE_SEC = 0.01  # of the ends of pieces that meet the pause
SORTED_BATCHES = 16  # so many batches are put in order of length at a time
MOST_PADDING = 1.3  # frames of a batch with its padding, as a multiple of those without


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One item of a batch: an output or, of a long text, a piece of one.

    Attributes:
        name: of the wav file, relative to the output directory.
        index: which piece of its output this is, of `count`.
        skip_samples: how much of the beginning of the audio is not wanted.
        num_samples: how much is wanted of the rest; None is all.
    """

    name: str
    index: int = 0
    count: int = 1
    skip_samples: int = 0
    num_samples: int | None = None

    @property
    def length(self) -> int:
        """What the time to make it grows with; only compared."""
        raise NotImplementedError


def batches(parts: Iterable[Part], size: int) -> Iterator[list[Part]]:
    """Groups of up to `size` and of like lengths, so that little is padded, made as they are needed.

    Only so many parts are in memory as are sorted by length at a time.
    """
    waiting = iter(parts)
    while window := list(islice(waiting, size * SORTED_BATCHES)):
        batch: list[Part] = []
        total = 0
        for part in sorted(window, key=lambda part: part.length, reverse=True):
            total += part.length
            # The longest comes first. One long clip among short ones would multiply time and memory.
            if batch and (len(batch) == size or batch[0].length * (len(batch) + 1) > MOST_PADDING * total):
                yield batch
                batch, total = [], part.length
            batch.append(part)
        yield batch


class SpeechWriter:
    """Collects pieces, in any order, and writes each output as soon as all of its pieces are there.

    Args:
        folder: the output directory.
        audio: of the wav files.
        fade_frames: over which the end of each output fades.
        save_mels: write the mel [M, L] of each output, too, as `<name>.npy` beside its wav.
    """

    def __init__(self, folder: Path, audio: AudioConfig, fade_frames: int = 0, save_mels: bool = False) -> None:
        self.audio = audio
        self._folder = folder
        self._fade_samples = fade_frames * audio.hop_length
        self._pause_frames = _pause_frames(audio)
        self._save_mels = save_mels
        self._waiting: dict[str, dict[int, tuple[np.ndarray, np.ndarray | None]]] = {}
        self._chunks: list[Tensor] = []

    def add(self, part: Part, wav: Tensor, mel: Tensor) -> bool:
        """Takes the audio [T] of a piece and the mel [M, L] that it was made from; True if that completed a file."""
        # Copies of what may be slices of a batch, which would stay in memory with them.
        kept_mel = np.array(mel.cpu().float().numpy()) if self._save_mels else None
        pieces = self._waiting.setdefault(part.name, {})
        pieces[part.index] = np.array(wav.numpy()[part.skip_samples :][: part.num_samples]), kept_mel
        if len(pieces) < part.count:
            return False
        del self._waiting[part.name]
        wavs, mels = zip(*(pieces[index] for index in sorted(pieces)), strict=True)
        self._write(self._folder / part.name, wavs, mels)
        return True

    def add_chunk(self, part: Part, wav: Tensor) -> None:
        """Takes the next samples [T] of a piece; pieces do not mix."""
        self._chunks.append(wav)

    def finish(self, part: Part, mel: Tensor) -> bool:
        """Ends the piece that came in chunks; True if that completed a file."""
        wav, self._chunks = torch.cat(self._chunks), []
        return self.add(part, wav, mel)

    def _write(self, path: Path, wavs: Sequence[np.ndarray], mels: Sequence[np.ndarray]) -> None:
        hop = self.audio.hop_length
        wav = join(wavs, self._pause_frames * hop, _fade_samples(self.audio))
        if self._save_mels:
            save_array(path.with_suffix(".npy"), _joined_mels(mels, self._pause_frames))
        save_wav(path, fade_out(wav, self._fade_samples), self.audio.sampling_rate)  # last: it says that all is there


class PcmWriter:
    """Writes speech chunk by chunk as raw samples: 16 bits, signed, little endian, mono; one output after the other.

    They are the samples of `SpeechWriter`'s files. Only what may have to fade waits: 10 ms of a piece that a pause
    follows, and the frames over which the outputs' ends fade.

    Args:
        out: where to; unbuffered, so that each chunk can be played at once.
        audio: of the speech.
        fade_frames: over which the end of each output fades.
    """

    def __init__(self, out: RawIOBase, audio: AudioConfig, fade_frames: int = 0) -> None:
        self.audio = audio
        self._out = out
        self._output = _Fading(0, fade_frames * audio.hop_length)
        self._piece: _Fading | None = None
        self._position = 0  # in the piece, in samples

    def add_chunk(self, part: Part, wav: Tensor) -> None:
        """Takes the next samples [T] of a piece; pieces come in order and do not mix."""
        if self._piece is None:
            fade = _fade_samples(self.audio)
            self._piece = _Fading(fade if part.index > 0 else 0, fade if part.index < part.count - 1 else 0)
        start = max(0, part.skip_samples - self._position)
        stop = len(wav)
        if part.num_samples is not None:
            stop = max(start, part.skip_samples + part.num_samples - self._position)
        self._position += len(wav)
        self._write(part, self._output.push(self._piece.push(wav.numpy()[start:stop])))

    def finish(self, part: Part, mel: Tensor) -> bool:
        """Ends the piece, with a pause if more follow; True if that was the output's last."""
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
        content = memoryview(to_int16(wav, part.name).astype("<i2").tobytes())
        while content:  # a pipe takes no more than it has room for
            content = content[self._out.write(content) or 0 :]


class _Fading:
    """Samples that come in chunks and fade at both ends; sends each as soon as it is known how loud it is.

    Args:
        in_samples, out_samples: of the fades, each as in `fade_in` and `fade_out`.
    """

    def __init__(self, in_samples: int, out_samples: int) -> None:
        self._in_samples = in_samples
        self._out_samples = out_samples
        self._kept = np.zeros(0, np.float32)

    def push(self, wav: np.ndarray) -> np.ndarray:
        """The next samples [T] -> those that are settled."""
        self._kept = np.concatenate([self._kept, wav])
        if len(self._kept) < self._in_samples:  # how steep the fade is depends on the length, if it ends here
            return self._kept[:0]
        kept, self._in_samples = fade_in(self._kept, self._in_samples), 0
        settled = max(0, len(kept) - self._out_samples)
        self._kept = kept[settled:]
        return kept[:settled]

    def end(self) -> np.ndarray:
        """The rest; the next samples may begin something else that only fades out."""
        rest = fade_out(fade_in(self._kept, self._in_samples), self._out_samples)
        self._kept = self._kept[:0]
        return rest


def _pause_frames(audio: AudioConfig) -> int:
    return round(PAUSE_SEC * audio.sampling_rate / audio.hop_length)


def _fade_samples(audio: AudioConfig) -> int:
    return round(FADE_SEC * audio.sampling_rate)


def _joined_mels(mels: Sequence[np.ndarray], pause_frames: int) -> np.ndarray:
    """[M, L_i] -> [M, L], with frames of silence where the audio has pauses."""
    pause = np.full((mels[0].shape[0], pause_frames), SILENCE, dtype=np.float32)
    parts = [part for mel in mels for part in (pause, mel)]
    return np.concatenate(parts[1:], axis=1)


def describe_saved_mels(names: Sequence[str], folder: Path, audio: AudioConfig, inputs: Collection[Path] = ()) -> None:
    """Writes what the mels of `SpeechWriter` will be like, for all who read them.

    Args:
        names: of the wav files.
        inputs: files that must not be overwritten.

    Raises:
        InputError: two outputs would have one mel file, an input would be overwritten, or the folder holds other mels.
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
