"""Mels to vocode: of audio files (copy synthesis), or prepared ones of a data set."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.audio import AUDIO_SUFFIXES, AudioConfig, MelSpectrogram, load_wav, resample
from common.errors import InputError
from common.filelists import check_wavs
from common.mels import read_mel
from common.phrases import Phrase, safe_name
from common.run_log import watched
from common.speech_files import Part

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Utterance(Part):
    """A mel [M, L] and what its audio is called."""

    mel: Tensor

    @property
    def length(self) -> int:
        return self.mel.size(1)


def is_audio(source: Path) -> bool:
    """Whether -i names audio, a file or a folder, and not a phrase file."""
    return source.is_dir() or source.suffix.lower() in AUDIO_SUFFIXES


def find_audio(source: Path, output: Path) -> dict[str, Path]:
    """Output name -> audio file below `source` (or `source` itself), checked before anything is written."""
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder (-i)")
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise InputError(f"-o: {output} lies in the folder of the originals (-i); give another folder")
    found = (path for path in source.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())
    files = [source] if source.is_file() else sorted(found)
    if not files:
        raise InputError(f"{source}: no audio files ({', '.join(AUDIO_SUFFIXES)}) in this folder (-i)")
    root = source.parent if source.is_file() else source
    named: dict[str, Path] = {}
    for path in files:
        name = safe_name(str(path.relative_to(root).with_suffix(".wav")))
        if name in named:
            raise InputError(f"{path} and {named[name]}: both would be written to {name}")
        if (output / name).resolve() == path.resolve():
            raise InputError(f"-o: {output} is where {path.name} lies, which would be overwritten; give another folder")
        named[name] = path
    check_wavs(files, None, progress=watched())
    return named


def copied_utterances(paths: dict[str, Path], audio: AudioConfig) -> Iterator[Utterance]:
    """Mels of audio files; other sampling rates are converted, the level is kept."""
    mel = MelSpectrogram(audio)
    for name, path in paths.items():
        wav, sampling_rate = load_wav(path)
        if sampling_rate != audio.sampling_rate:
            log.info("%s: resampled from %d to %d Hz", path, sampling_rate, audio.sampling_rate)
            wav = resample(wav, sampling_rate, audio.sampling_rate)
        # Whole frames, and enough samples for the mel spectrogram to reflect; the copy is as long as the original.
        padded = max(-(-len(wav) // audio.hop_length), audio.padding // audio.hop_length + 1) * audio.hop_length
        samples = torch.from_numpy(np.pad(wav, (0, padded - len(wav))).astype(np.float32))
        yield Utterance(name=name, mel=mel(samples[None])[0], num_samples=len(wav))


def mel_files(phrases: Sequence[Phrase], source: Path, dataset: Path) -> dict[str, Path]:
    """Output name -> mel file of each phrase; all must exist before anything is synthesised."""
    files = {}
    for phrase in phrases:
        if phrase.mel is None:
            raise InputError(
                f"{source}: {phrase.output} has no mel; a TSV needs a header with a 'mel' column "
                "(to speak texts, give --fastpitch)"
            )
        files[phrase.output] = dataset / phrase.mel
    missing = [path for path in files.values() if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{missing[0]}: no such mel ({len(missing)} of {len(files)} are missing); "
            "make them with scripts/prepare_dataset.sh, or point --dataset-path to the data set"
        )
    return files


def prepared_utterances(files: dict[str, Path], num_mels: int) -> Iterator[Utterance]:
    """Mels from `.pt` or `.npy` files."""
    for name, path in files.items():
        yield Utterance(name=name, mel=read_mel(path, num_mels))
