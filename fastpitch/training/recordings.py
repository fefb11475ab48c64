"""Recordings with texts and pitch, the training data of FastPitch.

Shapes: B batch, S symbols, L mel frames ("tacotron" framing), M mel bands.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset
from tqdm import tqdm

from common.audio import SILENCE, AudioConfig, MelSpectrogram
from common.audio_files import load_wav_at, wav_info
from common.data.filelists import listed_path, read_filelist
from common.data.mel_files import read_features
from common.data.pitch import compute_statistics
from common.errors import InputError, first_three, others_go_on
from common.project import command
from common.text.processor import TextProcessor
from common.text.settings import record_reading
from common.training.sampling import ClipKey
from fastpitch.alignment import interpolated_prior
from fastpitch.speakers import describe_speakers, find_speaker

log = logging.getLogger(__name__)


class SpeechClip(NamedTuple):
    """One line of a file list: files of audio and pitch, text and speaker."""

    wav: Path
    pitch: Path
    text: str
    speaker: int = 0


class Example(NamedTuple):
    """Training example: ids [S], mel [M, L], pitch [L] in standard deviations from the voice's mean, and speaker."""

    ids: Tensor
    mel: Tensor
    pitch: Tensor
    speaker: int


class Batch(NamedTuple):
    """Examples padded to the same length, with padding symbols, silence and unvoiced frames.

    Attributes:
        ids: [B, S].
        mel: [B, M, L].
        mel_lens: [B].
        pitch: [B, 1, L].
        prior: [B, L, S].
        speaker: [B].
    """

    ids: Tensor
    mel: Tensor
    mel_lens: Tensor
    pitch: Tensor
    prior: Tensor
    speaker: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(part.to(device, non_blocking=True) for part in self))


def read_recordings(
    filelists: Sequence[str | Path], root: Path, n_speakers: int, names: Mapping[str, int] | None = None
) -> list[SpeechClip]:
    """Read rows `wav|pitch|text` or, for models of several voices, `wav|pitch|text|speaker` of file lists.

    Args:
        filelists: the lists.
        root: the data set, which their paths are relative to.
        n_speakers: voices of the model. Lists name them by number, 0 to n_speakers - 1, or by name.
        names: name of a speaker -> number.

    Raises:
        FileNotFoundError: no such list.
        InputError: a row of another form, an empty text, a path outside `root`, or a speaker unknown to the model.
    """
    recordings = []
    for filelist in filelists:
        for row in read_filelist(filelist):
            where = f"{filelist}: {row[0]}"
            if len(row) not in (3, 4) or not all(row):
                raise InputError(
                    f"{where}: expected wav|pitch|text or wav|pitch|text|speaker, found {len(row)} columns; "
                    f"{command('python prepare_dataset.py')} --write-filelists writes such lists "
                    "(..._audio_pitch_text...)"
                )
            speaker = find_speaker(row[3] if len(row) == 4 else "0", n_speakers, names or {})
            if speaker is None:
                raise InputError(
                    f"{where}: speaker {row[-1]!r}, but the model's are {describe_speakers(n_speakers, names or {})} "
                    "(n_speakers of --fastpitch-config)"
                )
            wav, pitch = (listed_path(name, root, filelist) for name in row[:2])
            recordings.append(SpeechClip(wav, pitch, row[2], speaker))
    return recordings


class SpeechDataset(Dataset[Example]):
    """Data set of recordings with texts. The audio keeps its level.

    Args:
        recordings: recordings whose audio passed `check_wavs`.
        audio: the signal contract in "tacotron" framing. Every file must have its sampling rate.
        text: converts texts to symbol ids.
        pitch_mean_hz: mean of the voice's pitch, for normalisation.
        pitch_std_hz: standard deviation of the voice's pitch.
        seed: of the random choice of words that become phonemes.

    Attributes:
        pitch_hz: mean and standard deviation of the voice's pitch.
    """

    def __init__(
        self,
        recordings: Sequence[SpeechClip],
        audio: AudioConfig,
        text: TextProcessor,
        pitch_mean_hz: float,
        pitch_std_hz: float,
        seed: int = 0,
    ) -> None:
        assert audio.framing == "tacotron"
        self.recordings = list(recordings)
        self.audio = audio
        self._text = text
        self.pitch_hz = pitch_mean_hz, pitch_std_hz
        self._seed = seed
        self._mel = MelSpectrogram(audio)

    @property
    def padding_id(self) -> int:
        return self._text.padding_id

    @property
    def reading(self) -> dict[str, Any]:
        """The dictionary's edition and own words, as checkpoints record them."""
        return record_reading(self._text)

    @property
    def varies(self) -> bool:
        """Whether the symbols of a text differ between draws."""
        return 0 < self._text.p_arpabet < 1

    @property
    def paths(self) -> list[Path]:
        return [recording.wav for recording in self.recordings]

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, key: ClipKey) -> Example:
        recording = self.recordings[key.clip]
        wav = load_wav_at(recording.wav, self.audio.sampling_rate)
        mel = self._mel(torch.from_numpy(wav.astype(np.float32))[None])[0]
        f0 = self._pitch_hz(recording, mel.size(1))
        mean_hz, std_hz = self.pitch_hz
        pitch = torch.where(f0 > 0, (f0 - mean_hz) / std_hz, 0.0)
        return Example(self.ids(key), mel, pitch, recording.speaker)

    def _pitch_hz(self, recording: SpeechClip, frames: int) -> Tensor:
        if not recording.pitch.is_file():
            raise InputError(
                f"{recording.pitch}: no such pitch; {command('python prepare_dataset.py')} --extract-pitch writes it"
            )
        f0 = read_features(recording.pitch, 1)[0]
        if len(f0) != frames:
            raise InputError(
                f"{recording.pitch}: {len(f0)} values, but {recording.wav} has {frames} frames; "
                f"extract it again with {command('python prepare_dataset.py')} --extract-pitch"
            )
        return f0

    def ids(self, key: ClipKey) -> Tensor:
        """Return the symbols [S] of a text. The draw decides which words become phonemes, if that is random."""
        rng = random.Random(f"{self._seed} {key.clip} {key.draw}")
        return torch.tensor(self._text.encode(self.recordings[key.clip].text, rng))

    def speaker_pitch_hz(self, n_speakers: int) -> list[tuple[float, float]]:
        """Return mean and standard deviation of each speaker's pitch, or the data set's for one without recordings."""
        files: dict[int, list[Path]] = {}
        for recording in self.recordings:
            files.setdefault(recording.speaker, []).append(recording.pitch)
        found = []
        for speaker in range(n_speakers):
            statistics = compute_statistics(read_features(path, 1).numpy() for path in files.get(speaker, []))
            usable = statistics is not None and statistics.std_hz > 0
            found.append((statistics.mean_hz, statistics.std_hz) if statistics and usable else self.pitch_hz)
        return found

    def _check_clip(self, clip: int) -> None:
        recording = self.recordings[clip]
        samples = wav_info(recording.wav).frames
        if samples <= self.audio.padding:
            raise InputError(f"{samples} samples are too few, need more than {self.audio.padding}")
        frames = self.audio.num_frames(samples)
        self._pitch_hz(recording, frames)
        symbols = len(self.ids(ClipKey(clip, 0)))
        if frames < symbols:
            raise InputError(f"{symbols} symbols of text for {frames} frames of audio")

    def check(self, progress: bool = False) -> None:
        """Encode all texts and read all pitch files before training starts.

        Raises:
            InputError: the number of unusable recordings, and the first three.
        """
        if problems := self.find_unusable(range(len(self)), progress):
            listed = first_three([*problems.values()])
            raise InputError(f"{len(problems)} of {len(self)} recordings cannot be used: {listed}")

    def find_unusable(self, clips: Sequence[int], progress: bool = False) -> dict[int, str]:
        """Encode the texts of these clips and read their pitch files. Return the problems of unusable clips."""
        problems: dict[int, str] = {}
        with self._text.count_skipped() as skipped:
            for clip in tqdm(clips, "checking texts and pitch", disable=not progress, leave=False):
                found: list[str] = []
                with others_go_on(self.recordings[clip].wav, found):
                    self._check_clip(clip)
                problems.update((clip, line) for line in found)
        if described := skipped.describe(len(clips)):
            log.warning("%s", described)
        return problems


class CachedSpeech(Dataset[Example]):
    """Examples of another data set, with mels and pitch kept in memory."""

    def __init__(self, dataset: SpeechDataset, progress: bool = False) -> None:
        self._dataset = dataset
        clips = range(len(dataset))
        reading = tqdm(clips, "reading recordings", disable=not progress, leave=False)
        self._examples = [dataset[ClipKey(clip, 0)] for clip in reading]

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, key: ClipKey) -> Example:
        example = self._examples[key.clip]
        return example._replace(ids=self._dataset.ids(key)) if self._dataset.varies else example


def collate(examples: Sequence[Example], padding_id: int) -> Batch:
    """Assemble a batch, with the prior of published aligners. `padding_id` pads short texts."""
    mel_lens = [example.mel.size(1) for example in examples]
    text_lens = [len(example.ids) for example in examples]
    prior = torch.zeros(len(examples), max(mel_lens), max(text_lens))
    for item, frames, symbols in zip(prior, mel_lens, text_lens, strict=True):
        item[:frames, :symbols] = torch.from_numpy(interpolated_prior(frames, symbols))
    ids = pad_sequence([example.ids for example in examples], batch_first=True, padding_value=padding_id)
    mel = pad_sequence([example.mel.T for example in examples], batch_first=True, padding_value=SILENCE)
    pitch = pad_sequence([example.pitch for example in examples], batch_first=True)
    speaker = torch.tensor([example.speaker for example in examples])
    return Batch(ids, mel.transpose(1, 2), torch.tensor(mel_lens), pitch.unsqueeze(1), prior, speaker)
