"""What the inference benchmark gives to the models: synthetic mels of exact lengths, or texts."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.inference.rounds import Case
from common.audio import AudioConfig, MelSpectrogram
from common.synthesis.phrases import Phrase, read_phrases
from fastpitch import load_fastpitch
from fastpitch.synthesis.job import check_models_fit
from fastpitch.synthesis.pieces import Piece, SpeechConfig, read_pieces
from fastpitch.synthesis.synthesiser import Synthesiser
from fastpitch.synthesis.text_flags import text_processor
from hifigan.checkpoint import GeneratorInfo


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Which batch sizes and lengths are measured.

    Attributes:
        batches: utterances of a batch.
        seconds: of an utterance; the first one is the main length.
        denoises: whether there are cases with a denoiser.
        full: every length at every batch size, with and without a denoiser; else one of them differs at a time from
            the main length at the smallest batch size without.
    """

    batches: tuple[int, ...]
    seconds: tuple[float, ...]
    denoises: bool
    full: bool

    def cases(self, inputs: Any) -> list[Case]:
        """`inputs`: batch size, number of the length -> what a case is given."""
        smallest = min(self.batches)
        return [
            Case(inputs(size, length), length, denoised)
            for length, size, denoised in itertools.product(
                range(len(self.seconds)), sorted(set(self.batches)), (False, True) if self.denoises else (False,)
            )
            if self.full or (size != smallest) + (length != 0) + denoised <= 1
        ]


def mel_cases(sizes: Sizes, audio: AudioConfig, device: torch.device) -> list[Case]:
    """Batches of mels of the exact lengths, all made of one signal."""
    mel = synthetic_mel(max(sizes.seconds), audio).to(device)
    return sizes.cases(lambda size, length: [mel[:, : frames_of(sizes.seconds[length], audio)]] * size)


def synthetic_mel(seconds: float, audio: AudioConfig) -> Tensor:
    """[M, L] of `voice_like`."""
    wav = torch.from_numpy(voice_like(seconds + 1, audio.sampling_rate)).float()
    return MelSpectrogram(audio)(wav[None])[0, :, : frames_of(seconds, audio)]


def frames_of(seconds: float, audio: AudioConfig) -> int:
    return max(1, round(seconds * audio.sampling_rate / audio.hop_length))


def voice_like(seconds: float, sampling_rate: int) -> np.ndarray:
    """A gliding harmonic tone in noise that swells and fades, [T] in [-1, 1]."""
    time = np.arange(int(seconds * sampling_rate)) / sampling_rate
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * time)) / sampling_rate
    tone = np.sum([np.sin(k * phase) / k for k in range(1, 20)], axis=0) * (0.6 + 0.4 * np.sin(6 * np.pi * time))
    wav = tone + 0.05 * np.random.default_rng(0).standard_normal(len(time))
    return 0.95 * wav / np.abs(wav).max()


def given_mels(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Without FastPitch, the inputs are the mels."""
    return list(inputs)


class Speech:
    """FastPitch and what it is to say.

    Args:
        checkpoint: of FastPitch.
        phrases: file of texts; a batch of N is the first N of them.
        cmudict_path: as in inference.py.
        device: where FastPitch runs.

    Raises:
        FileNotFoundError, InputError: a checkpoint or phrase file that cannot be used.
    """

    def __init__(self, checkpoint: str, phrases: str, cmudict_path: str, device: torch.device) -> None:
        self.model, self.info = load_fastpitch(checkpoint, device)
        self._file = phrases
        # Texts are never cut, so that a batch has as many utterances as it says.
        self._reading = SpeechConfig(fastpitch=checkpoint, cmudict_path=cmudict_path, split_longer_than=sys.maxsize)
        self._text = text_processor(self._reading, self.info)
        self._phrases = read_phrases(phrases)
        self._synthesisers: dict[tuple[bool, bool], Synthesiser] = {}

    def check_fits(self, vocoder: GeneratorInfo) -> None:
        """Raises `InputError` for a vocoder of other mels."""
        check_models_fit(self.info, vocoder.path, vocoder.audio)

    def synthesiser(self, torchscript: bool, amp: bool) -> Synthesiser:
        """What makes mels; always the same one for these switches."""
        key = (torchscript, amp and not torchscript)  # its TorchScript cannot leave autocast
        if key not in self._synthesisers:
            self._synthesisers[key] = Synthesiser(self.model, torchscript=key[0], amp=key[1])
        return self._synthesisers[key]

    def cases(self, sizes: Sizes) -> list[Case]:
        """The main length is that of the phrases; others are as many words of the first as last about so long."""
        pieces = self._pieces(self._phrases)
        audio = self.info.audio
        (mel,) = self.synthesiser(False, False)(pieces[:1])
        whole_sec = mel.size(1) * audio.hop_length / audio.sampling_rate
        first = self._phrases[0]
        words = (first.text or "").split()
        counts = [max(1, round(len(words) * seconds / whole_sec)) for seconds in sizes.seconds[1:]]
        texts = [" ".join(itertools.islice(itertools.cycle(words), count)) for count in counts]
        others = self._pieces([dataclasses.replace(first, text=text) for text in texts])

        def inputs(size: int, length: int) -> list[Piece]:
            source = pieces if length == 0 else [others[length - 1]]
            return list(itertools.islice(itertools.cycle(source), size))

        return sizes.cases(inputs)

    def _pieces(self, phrases: Sequence[Phrase]) -> list[Piece]:
        predicted = [dataclasses.replace(phrase, pitch=None) for phrase in phrases]  # pitch files need a data set
        return read_pieces(predicted, Path(self._file), Path(), self._reading, self.info, self._text)

    @property
    def described(self) -> dict[str, str]:
        lengths = sorted({len(phrase.text or "") for phrase in self._phrases})
        characters = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
        parameters = sum(parameter.numel() for parameter in self.model.parameters()) / 1e6
        return {
            "FastPitch": f"{parameters:.2f} M parameters, {self.info.path}",
            "input": f"texts of {characters} characters, {self._file}",
            "latency": "from the start of FastPitch on a batch of symbols to the end of HiFi-GAN, waveforms on the CPU",
        }
