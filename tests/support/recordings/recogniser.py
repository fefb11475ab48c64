"""A recogniser that knows what it hears by the length of the audio."""

from __future__ import annotations

import dataclasses
import math
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

from common.recognition import whisper

RATE_HZ = 22050


@dataclasses.dataclass
class FakeWhisper:
    """Stands in for a loaded model. Tenths of a second of audio tell its text, probability of words, and language."""

    texts: dict[int, str]
    probabilities: dict[int, float] = dataclasses.field(default_factory=dict)
    languages: dict[int, str] = dataclasses.field(default_factory=dict)
    multilingual: bool = True
    calls: list[int] = dataclasses.field(default_factory=list)
    detections: list[int] = dataclasses.field(default_factory=list)

    @property
    def model(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(is_multilingual=self.multilingual)

    @property
    def supported_languages(self) -> list[str]:
        return ["en", "de"] if self.multilingual else ["en"]

    def transcribe(self, wav, **options):
        tenths = round(10 * len(wav) / whisper.RECOGNISER_RATE_HZ)
        self.calls.append(tenths)
        text = self.texts.get(tenths, "")
        probability = self.probabilities.get(tenths, 0.9)
        words = text.split()
        step = tenths / 10 / max(1, len(words))
        places = [
            types.SimpleNamespace(word=f" {word}", start=i * step, end=(i + 1) * step, probability=probability)
            for i, word in enumerate(words)
        ]
        segment = types.SimpleNamespace(
            text=text,
            words=places,
            tokens=words,
            avg_logprob=math.log(probability),
            no_speech_prob=0.1,
            compression_ratio=1.0,
        )
        return iter([segment] if text else []), None

    def detect_language(self, wav):
        tenths = round(10 * len(wav) / whisper.RECOGNISER_RATE_HZ)
        self.detections.append(tenths)
        return self.languages.get(tenths, "en"), 0.9, []


def install(monkeypatch: pytest.MonkeyPatch, model: FakeWhisper, folder: Path) -> str:
    """Let every model be this one. Returns its name."""
    folder.mkdir(parents=True)
    for name in whisper.MODEL_FILES:
        (folder / name).write_bytes(b"{}")
    monkeypatch.setattr(whisper, "is_installed", lambda: True)
    monkeypatch.setattr(whisper, "load_model", lambda *args, **options: model)
    return str(folder)


def write_clip(work: Path, clip: str, tenths: int) -> None:
    """Write a clip of noise into the data of a voice's working folder."""
    path = work / "data" / "wavs" / f"{clip}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(tenths).uniform(-0.1, 0.1, tenths * RATE_HZ // 10)
    soundfile.write(path, noise, RATE_HZ)
