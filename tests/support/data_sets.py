"""Synthetic audio, and data sets of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
import torch

from benchmarks.synthetic_voice import speechlike as speechlike


def swelling_noise(samples: int, seed: int = 0) -> np.ndarray:
    """A swelling sound with loud and quiet bins, [T] in [-1, 1]."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples)
    wav = np.sin(time * 0.05) + 0.3 * np.sin(time * 0.7) + 0.1 * rng.standard_normal(samples)
    return wav / np.abs(wav).max() * np.linspace(0.001, 0.8, samples)


def write_data_set(folder: Path, seconds: list[float], sampling_rate: int = 22050) -> Path:
    """Write a data set in LJSpeech layout with clips of these lengths, and lists train.txt (all but two), val.txt."""
    (folder / "wavs").mkdir(parents=True)
    names = [f"clip{i:03d}" for i in range(len(seconds))]
    for i, (name, length) in enumerate(zip(names, seconds, strict=True)):
        soundfile.write(folder / "wavs" / f"{name}.wav", speechlike(length, sampling_rate, seed=i), sampling_rate)
    (folder / "metadata.csv").write_text("".join(f"{name}|Some words.|Some words.\n" for name in names))
    (folder / "train.txt").write_text("".join(f"wavs/{name}.wav\n" for name in names[:-2]))
    (folder / "val.txt").write_text("".join(f"wavs/{name}.wav\n" for name in names[-2:]))
    return folder


def write_speech_set(folder: Path, seconds: list[float], n_speakers: int = 1) -> Path:
    """Add texts and pitch to `write_data_set`, with lists speech_train.txt (all but two) and speech_val.txt."""
    write_data_set(folder, seconds)
    (folder / "pitch").mkdir()
    rows = []
    for i, length in enumerate(seconds):
        pitch = 120 + 40 * torch.rand(1, int(length * 22050) // 256 + 1, generator=torch.Generator().manual_seed(i))
        pitch[:, ::4] = 0  # unvoiced
        torch.save(pitch, folder / "pitch" / f"clip{i:03d}.pt")
        text = "".join("abcdefgh "[(i + k * k) % 9] for k in range(5 + 3 * i)).strip() + "."
        rows.append(f"wavs/clip{i:03d}.wav|pitch/clip{i:03d}.pt|{text}" + (f"|{i % n_speakers}" * (n_speakers > 1)))
    (folder / "speech_train.txt").write_text("\n".join(rows[:-2]))
    (folder / "speech_val.txt").write_text("\n".join(rows[-2:]))
    statistics = {"mean_hz": 140.0, "std_hz": 12.0, "voiced_frames": 100, "frames": 120}
    (folder / "pitch" / "pitch_statistics.json").write_text(json.dumps(statistics))
    return folder
