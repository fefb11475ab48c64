"""Inputs of the inference benchmark: synthetic mels of exact lengths, or texts."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.inference.rounds import Case
from benchmarks.synthetic_voice import speechlike
from common.audio import AudioConfig, MelSpectrogram
from common.errors import InputError, first_three
from common.synthesis.phrases import Phrase, read_phrases
from fastpitch import load_fastpitch
from fastpitch.synthesis.flags import SpeechConfig
from fastpitch.synthesis.job import check_models_fit
from fastpitch.synthesis.pieces import Piece, read_pieces
from fastpitch.synthesis.synthesiser import Synthesiser
from fastpitch.synthesis.text_flags import text_processor
from hifigan.checkpoint import GeneratorInfo


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Batch sizes and lengths to measure.

    Attributes:
        batches: batch sizes in utterances.
        seconds: lengths of an utterance. The first one is the main length.
        denoises: include cases with a denoiser.
        full: include all combinations. By default, each case differs in one respect from the main length at the
            smallest batch size without a denoiser.
    """

    batches: tuple[int, ...]
    seconds: tuple[float, ...]
    denoises: bool
    full: bool

    def cases(self, inputs: Any) -> list[Case]:
        """Return the cases.

        Args:
            inputs: (batch size, index of the length) -> inputs of a case.
        """
        smallest = min(self.batches)
        return [
            Case(inputs(size, length), length, denoised)
            for length, size, denoised in itertools.product(
                range(len(self.seconds)), sorted(set(self.batches)), (False, True) if self.denoises else (False,)
            )
            if self.full or (size != smallest) + (length != 0) + denoised <= 1
        ]


def mel_cases(sizes: Sizes, audio: AudioConfig, device: torch.device) -> list[Case]:
    """Return batches of mels of the exact lengths, all cut from one signal."""
    mel = synthetic_mel(max(sizes.seconds), audio).to(device)
    return sizes.cases(lambda size, length: [mel[:, : count_frames(sizes.seconds[length], audio)]] * size)


def synthetic_mel(seconds: float, audio: AudioConfig) -> Tensor:
    """Return the mel [M, L] of a synthetic voice."""
    wav = torch.from_numpy(speechlike(seconds + 1, audio.sampling_rate, peak=0.95)).float()
    return MelSpectrogram(audio)(wav[None])[0, :, : count_frames(seconds, audio)]


def count_frames(seconds: float, audio: AudioConfig) -> int:
    return max(1, round(seconds * audio.sampling_rate / audio.hop_length))


def given_mels(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the inputs: mels if there is no FastPitch."""
    return list(inputs)


class Speech:
    """FastPitch and its texts.

    Args:
        checkpoint: of FastPitch.
        phrases: file of texts. A batch of N consists of its first N.
        cmudict_path: pronouncing dictionary, as in inference.py.
        device: where FastPitch runs.

    Raises:
        FileNotFoundError, InputError: a checkpoint or phrase file cannot be used.
    """

    def __init__(self, checkpoint: str, phrases: str, cmudict_path: str, device: torch.device) -> None:
        self.model, self.info = load_fastpitch(checkpoint, device)
        self._file = phrases
        # Texts are never split, so that batches have their exact number of utterances.
        self._reading = SpeechConfig(fastpitch=checkpoint, cmudict_path=cmudict_path, split_longer_than=sys.maxsize)
        self._text = text_processor(self._reading, self.info)
        self._phrases = read_phrases(phrases)
        self._synthesisers: dict[tuple[bool, bool], Synthesiser] = {}

    def check_fits(self, vocoder: GeneratorInfo) -> None:
        """Raise `InputError` if the vocoder takes other mels."""
        check_models_fit(self.info, vocoder.path, vocoder.contract)

    def synthesiser(self, torchscript: bool, amp: bool) -> Synthesiser:
        """Return the synthesiser for these settings, creating it on the first call."""
        key = (torchscript, amp and not torchscript)  # scripted FastPitch cannot disable autocast for single layers
        if key not in self._synthesisers:
            self._synthesisers[key] = Synthesiser(self.model, torchscript=key[0], amp=key[1])
        return self._synthesisers[key]

    def cases(self, sizes: Sizes) -> list[Case]:
        """Return the cases. The main length comes from the phrases. For others, the first phrase is cut or repeated."""
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
        problems: list[str] = []
        pieces = read_pieces(predicted, Path(self._file), Path(), self._reading, self.info, self._text, problems)
        if problems:
            raise InputError(first_three(problems))
        return pieces

    @property
    def description(self) -> dict[str, str]:
        lengths = sorted({len(phrase.text or "") for phrase in self._phrases})
        characters = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
        parameters = sum(parameter.numel() for parameter in self.model.parameters()) / 1e6
        return {
            "FastPitch": f"{parameters:.2f} M parameters, {self.info.path}",
            "input": f"texts of {characters} characters, {self._file}",
            "latency": "from the start of FastPitch on a batch of symbols to the end of HiFi-GAN, waveforms on the CPU",
        }
