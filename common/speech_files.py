"""Speech on its way to files: what a batch is made of, and the files that its items become."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from common.audio import MEL_CONFIG_FILE, SILENCE, AudioConfig, fade_out, join, save_wav
from common.errors import InputError
from common.files import save_array
from common.mel_contract import MelContract
from common.mels import describe

PAUSE_SEC = 0.15  # between the pieces of a long text
FADE_SEC = 0.01  # of the ends of pieces that meet the pause


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
        self._pause_frames = round(PAUSE_SEC * audio.sampling_rate / audio.hop_length)
        self._save_mels = save_mels
        self._waiting: dict[str, dict[int, tuple[np.ndarray, np.ndarray | None]]] = {}

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

    def _write(self, path: Path, wavs: Sequence[np.ndarray], mels: Sequence[np.ndarray]) -> None:
        hop = self.audio.hop_length
        wav = join(wavs, self._pause_frames * hop, round(FADE_SEC * self.audio.sampling_rate))
        if self._save_mels:
            save_array(path.with_suffix(".npy"), _joined_mels(mels, self._pause_frames))
        save_wav(path, fade_out(wav, self._fade_samples), self.audio.sampling_rate)  # last: it says that all is there


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
    describe(folder / MEL_CONFIG_FILE, contract, [folder / target for target in targets], "mels")
