"""Speech on its way to files: what a batch is made of, and the files that its items become."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from common.audio import MEL_CONFIG_FILE, SILENCE, AudioConfig, fade_out, join, save_wav
from common.errors import InputError
from common.files import write_whole
from common.mel_contract import MelContract
from common.mels import describe

PAUSE_SEC = 0.15  # between the pieces of a long text
FADE_SEC = 0.01  # of the ends of pieces that meet the pause


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One item of a batch: an output or, of a long text, a piece of one; pieces follow each other.

    Attributes:
        name: of the wav file, relative to the output directory.
        last: no further piece of this output comes.
        skip_samples: how much of the beginning of the audio is not wanted.
        num_samples: how much is wanted of the rest; None is all.
    """

    name: str
    last: bool = True
    skip_samples: int = 0
    num_samples: int | None = None


class SpeechWriter:
    """Collects pieces and writes each output as soon as its last piece is there.

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
        self._wavs: list[np.ndarray] = []
        self._mels: list[np.ndarray] = []

    def add(self, part: Part, wav: Tensor, mel: Tensor) -> None:
        """Takes the audio [T] of a piece and the mel [M, L] that it was made from."""
        # Copies of what may be slices of a batch, which would stay in memory with them.
        self._wavs.append(np.array(wav.numpy()[part.skip_samples :][: part.num_samples]))
        if self._save_mels:
            self._mels.append(np.array(mel.cpu().float().numpy()))
        if part.last:
            self._write(self._folder / part.name)

    def _write(self, path: Path) -> None:
        hop = self.audio.hop_length
        wav = join(self._wavs, self._pause_frames * hop, round(FADE_SEC * self.audio.sampling_rate))
        self._wavs.clear()
        if self._save_mels:
            encoded = io.BytesIO()
            np.save(encoded, _joined_mels(self._mels, self._pause_frames))
            write_whole(path.with_suffix(".npy"), encoded.getvalue())
            self._mels.clear()
        save_wav(path, fade_out(wav, self._fade_samples), self.audio.sampling_rate)


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
    describe(folder, folder / MEL_CONFIG_FILE, contract, targets, "mels")
