"""Random segments of clips. A crop depends on the seed, the clip and the draw alone.

Shapes: T samples of a segment, F = T / hop frames of it, M mel bands. A segment is (wav [T],) or, with the mel of an
acoustic model, (wav [T], mel [M, F]).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset
from tqdm import tqdm

from common.audio import SILENCE, AudioConfig, MelSpectrogram
from common.audio_files import load_wav_at, normalise_peak
from common.data.mel_files import read_mel
from common.errors import InputError, first_three, others_go_on
from common.files.fingerprints import Unchanged
from common.training.sampling import CROP, ClipKey, philox
from hifigan.training.mel_audio_match import check_fits, compare_mels

Segment = tuple[Tensor, ...]
COMPARED_CLIPS = 100  # pairs whose mels are compared with their audio before training, which takes seconds


class SegmentDataset(Dataset[Segment]):
    """Segments of clips that are peak-normalised to 0.95, for base training. Short clips are padded with silence.

    Args:
        paths: audio files that passed `check_wavs`.
        audio: the signal contract. Every file must have its sampling rate.
        segment_size: samples in a segment, a multiple of the hop length.
        seed: of the crops.
    """

    def __init__(self, paths: Sequence[Path], audio: AudioConfig, segment_size: int, seed: int) -> None:
        self.paths = list(paths)
        self.audio = audio
        self.segment_size = segment_size
        self.seed = seed
        self._unchanged = Unchanged(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, clip: int) -> Segment:
        """Load a whole clip, padded to the length of a segment or more.

        Raises:
            InputError: its file has changed since this data set was opened.
        """
        self._unchanged.check(self.paths[clip])
        wav = normalise_peak(load_wav_at(self.paths[clip], self.audio.sampling_rate))
        return (_at_least(torch.from_numpy(wav.astype(np.float32)), self.segment_size, 0.0),)

    def check(self, progress: bool = False) -> None:
        """Check the data besides the audio. Here there is none."""

    def places(self, lengths: Sequence[int], key: ClipKey) -> Sequence[slice]:
        """Draw the segment of a key: its place in each part of a whole clip, given the lengths of the parts."""
        start = self._draw(key, lengths[0] - self.segment_size)
        return (slice(start, start + self.segment_size),)

    def cut(self, whole: Segment, key: ClipKey) -> Segment:
        """Cut the segment of a key from a whole clip."""
        places = self.places([part.size(-1) for part in whole], key)
        return tuple(part[..., place] for part, place in zip(whole, places, strict=True))

    def __getitem__(self, key: ClipKey) -> Segment:
        return self.cut(self.load(key.clip), key)

    @property
    def bytes_per_sample(self) -> float:
        """Bytes in memory per sample of a clip."""
        return 4

    def _draw(self, key: ClipKey, last: int) -> int:
        """Draw an integer from 0 to `last`."""
        return int(philox(self.seed, CROP, key.clip, key.draw).integers(last + 1))


class PairDataset(SegmentDataset):
    """Segments of clips with mels of an acoustic model, for fine-tuning (paper section 4.4).

    The audio keeps its level, since the acoustic model was trained on it. Frame k of a "tacotron"-framed mel is centred
    on sample hop * k, but the generator's output for it on hop * k + hop / 2. So the audio is delayed by half a hop.

    Args:
        paths: audio files that passed `check_wavs`.
        mels: a mel file for each audio file.
        audio: the signal contract, with the framing of the mels.
        segment_size: samples in a segment, a multiple of the hop length.
        seed: of the crops.
        any_phase: accept mels half a frame off their audio, since the user chose the framing.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        mels: Sequence[Path],
        audio: AudioConfig,
        segment_size: int,
        seed: int,
        any_phase: bool = False,
    ) -> None:
        super().__init__(paths, audio, segment_size, seed)
        self.mels = list(mels)
        self._unchanged.add(self.mels)
        self.any_phase = any_phase

    def learned_framing(self, mel_framing: str) -> str:
        """Return the framing that a generator learns to take from pairs whose mels have `mel_framing`.

        Pairs in phase teach it the "vocoder" framing. From "tacotron"-framed mels paired as if they were
        "vocoder"-framed, it learns the shift by half a hop, and so takes "tacotron" framing.
        """
        return "tacotron" if (mel_framing, self.audio.framing) == ("tacotron", "vocoder") else "vocoder"

    def load(self, clip: int) -> Segment:
        """Load audio [L * hop] and mel [M, L] of a whole clip.

        Raises:
            InputError: the lengths of mel and audio do not match, or a file has changed since this data set was opened.
        """
        for path in (self.paths[clip], self.mels[clip]):
            self._unchanged.check(path)
        hop = self.audio.hop_length
        wav = torch.from_numpy(load_wav_at(self.paths[clip], self.audio.sampling_rate).astype(np.float32))
        mel = read_mel(self.mels[clip], self.audio.num_mels)
        expected = self.audio.num_frames(len(wav))
        if abs(mel.size(1) - expected) > 1:
            raise InputError(
                f"{self.mels[clip]}: {mel.size(1)} frames, but its audio {self.paths[clip]} has {expected}"
            )
        mel = _at_least(mel, self.segment_size // hop, SILENCE)
        delay = hop // 2 if self.audio.framing == "tacotron" else 0
        wav = F.pad(wav, (delay, 0))
        return _at_least(wav, mel.size(1) * hop, 0.0)[: mel.size(1) * hop], mel

    def check(self, progress: bool = False) -> None:
        """Read all pairs, and compare mels and audio of a sample of them.

        Raises:
            InputError: the number of unusable pairs, and the first three, or a fault of the mels as a whole, see
                `mel_audio_match.check_fits`.
        """
        problems: list[str] = []
        for clip in tqdm(range(len(self)), "checking mels", disable=not progress, leave=False):
            with others_go_on(self.mels[clip], problems):
                self.load(clip)
        if problems:
            raise InputError(f"{len(problems)} of {len(self)} mels cannot be used: {first_three(problems)}")
        self._compare(progress)

    def _compare(self, progress: bool) -> None:
        transform = MelSpectrogram(self.audio)
        sample = np.linspace(0, len(self) - 1, min(len(self), COMPARED_CLIPS)).round().astype(int).tolist()
        fits, mels = [], []
        for clip in tqdm(sample, "comparing mels with audio", disable=not progress, leave=False):
            wav = torch.from_numpy(load_wav_at(self.paths[clip], self.audio.sampling_rate).astype(np.float32))
            if len(wav) <= self.audio.padding:
                continue
            fit = compare_mels(read_mel(self.mels[clip], self.audio.num_mels).numpy(), transform(wav[None])[0].numpy())
            if fit is not None:
                fits.append(fit)
                mels.append(self.mels[clip])
        check_fits(fits, mels, self.audio.framing, self.any_phase)

    def places(self, lengths: Sequence[int], key: ClipKey) -> Sequence[slice]:
        hop, frames = self.audio.hop_length, self.segment_size // self.audio.hop_length
        start = self._draw(key, lengths[1] - frames)
        return slice(start * hop, (start + frames) * hop), slice(start, start + frames)

    @property
    def bytes_per_sample(self) -> float:
        return 4 * (1 + self.audio.num_mels / self.audio.hop_length)


def _at_least(x: Tensor, length: int, value: float) -> Tensor:
    """Pad the last dimension of `x` to `length` or more."""
    return F.pad(x, (0, max(0, length - x.size(-1))), value=value)
