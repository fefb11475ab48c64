"""Recordings with texts and pitch that several tests share."""

import pytest
import soundfile
import torch

from tests.support.data_sets import speechlike

RATE = 22050
TEXTS = ["One, two.", "A longer text of words.", "Three.", "Four words of text.", "Five"]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A data set of two speakers with clips of the same names, and its list all.txt of wav|pitch|text|speaker."""
    root = tmp_path_factory.mktemp("recordings")
    rows = []
    for i, text in enumerate(TEXTS):
        speaker, clip = i % 2, f"{'ab'[i % 2]}/00{i // 2}"
        wav = speechlike(0.4 + 0.1 * i, RATE, seed=i)
        frames = len(wav) // 256 + 1
        pitch = 200 + 50 * torch.sin(torch.arange(frames) / 5 + i)
        pitch[: 3 + i] = 0
        for folder in ("wavs", "pitch"):
            (root / folder / "ab"[speaker]).mkdir(parents=True, exist_ok=True)
        soundfile.write(root / "wavs" / f"{clip}.wav", wav, RATE)
        torch.save(pitch[None], root / "pitch" / f"{clip}.pt")
        rows.append(f"wavs/{clip}.wav|pitch/{clip}.pt|{text}|{speaker}\n")
    (root / "all.txt").write_text("".join(rows))
    return root
