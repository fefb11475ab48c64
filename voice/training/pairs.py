"""Pairs of mel and audio that teach a vocoder both inputs it will get: mels of recordings, and mels of FastPitch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from common.audio import AudioConfig, MelSpectrogram
from common.audio_config import MEL_CONFIG_FILE
from common.audio_files import PEAK, load_wav_at, normalise_peak, save_wav
from common.data.filelists import write_lines
from common.data.mel_files import feature_name, read_mel, record_config
from common.files.arrays import save_array
from common.mel_contract import MelContract

SPOKEN = "spoken"  # suffix of the pairs with FastPitch's mels


@dataclasses.dataclass(frozen=True)
class PairFolder:
    """A data set of pairs in the vocoder's framing.

    Attributes:
        folder: wavs/, mels/ and one list of wavs for each part.
        audio: signal settings of the vocoder.
    """

    folder: Path
    audio: AudioConfig

    @property
    def mels(self) -> Path:
        return self.folder / "mels"

    def list(self, part: str) -> Path:
        """List of the wav files of a part."""
        return self.folder / f"{part}.txt"

    def write(
        self, part: str, wavs: Sequence[str], data: Path, predicted: Path | None = None, gain_db: float = 0.0
    ) -> None:
        """Write two pairs for each recording: with its own mel, and with FastPitch's.

        A recording's own mel is taken at a peak of 0.95, as in base training and copy synthesis. FastPitch's mels get
        the gain that the packed voice gives them, or less where the recording would exceed that peak.

        Args:
            part: name of the list.
            wavs: recordings, relative to the data set.
            data: the data set.
            predicted: folder of FastPitch's mels of these recordings, made with teacher forcing. Without it, only the
                first kind of pairs is written.
            gain_db: gain of the packed voice's speech.

        Raises:
            InputError, OSError: a file that cannot be read.
        """
        audio = self.audio
        transform = MelSpectrogram(audio)
        names = []
        for wav in wavs:
            real = load_wav_at(data / wav, audio.sampling_rate)
            loud = normalise_peak(real)
            names.append(self._write(wav, "", loud, _mel(loud, transform)))
            if predicted:
                mel = read_mel(predicted / feature_name(Path(wav)).with_suffix(".npy"), audio.num_mels).numpy()
                names.append(self._write(wav, SPOKEN, *spoken_pair(real, mel, gain_db, audio)))
        config = MelContract(audio, peak_normalised=False).to_dict()
        record_config(self.mels / MEL_CONFIG_FILE, config, [], "mels")
        write_lines(self.list(part), names)

    def _write(self, wav: str, kind: str, audio: np.ndarray, mel: np.ndarray) -> str:
        """Write one pair. Return the wav's name in the list."""
        path = Path(wav)
        name = path.with_name(f"{path.stem}{kind and f'-{kind}'}.wav")
        save_array((self.mels / feature_name(name)).with_suffix(".npy"), mel)
        save_wav(self.folder / name, audio, self.audio.sampling_rate)
        return name.as_posix()


def spoken_pair(wav: np.ndarray, mel: np.ndarray, gain_db: float, audio: AudioConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return audio [T'] and mel [M, L] of a recording [T] and FastPitch's mel [M, L] of it, both louder.

    FastPitch's frame k is centred on sample hop * k, and the vocoder's output for it on hop * k + hop / 2. So the audio
    is delayed by half a hop.
    """
    gain = min(10 ** (gain_db / 20), PEAK / max(float(np.abs(wav).max()), 1e-9))
    delayed = np.pad(wav * gain, (audio.hop_length // 2, audio.hop_length))[: mel.shape[1] * audio.hop_length]
    return delayed, mel + np.float32(math.log(gain))


def _mel(wav: np.ndarray, transform: MelSpectrogram) -> np.ndarray:
    return transform(torch.from_numpy(wav.astype(np.float32))[None])[0].numpy()
