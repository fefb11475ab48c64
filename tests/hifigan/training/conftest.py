"""Pairs of mel and audio that tests of the training data share."""

import numpy as np
import pytest
import soundfile
import torch

from common.audio import AudioConfig, MelSpectrogram
from tests.support.data_sets import speechlike

RATE = 22050


@pytest.fixture
def pairs(tmp_path):
    """Four clips, one shorter than a segment, and their mels in both framings."""
    paths, mels = [], {"tacotron": [], "vocoder": []}
    for i, length in enumerate((9000, 12345, 20480, 700)):
        wav = speechlike(length / RATE, seed=i)[:length]
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, wav, RATE, subtype="FLOAT")
        paths.append(path)
        for framing, files in mels.items():
            mel = MelSpectrogram(AudioConfig(framing=framing))(torch.from_numpy(wav).float()[None])[0]
            files.append(tmp_path / framing / f"{i}.npy")
            files[-1].parent.mkdir(exist_ok=True)
            np.save(files[-1], mel.numpy())
    return paths, mels
