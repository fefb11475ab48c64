"""Pieces of speech on their way to files."""

import numpy as np
import pytest
import soundfile
import torch

from common.audio import SILENCE, AudioConfig
from common.synthesis.outputs import Part, SpeechWriter


def noise(samples, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32))


@pytest.mark.parametrize("save_mels", [False, True])
def test_outputs_are_written_when_their_last_piece_is_there(save_mels, tmp_path):
    audio = AudioConfig(framing="tacotron")
    writer = SpeechWriter(tmp_path, audio, save_mels=save_mels)
    wavs = [noise(512, seed) for seed in range(3)]
    mels = [torch.full((80, 2), float(i)) for i in range(3)]
    assert not writer.add(Part(name="a/long.wav", index=1, count=2), wavs[1], mels[1])
    assert not list(tmp_path.iterdir())
    assert writer.add(Part(name="b.wav", num_samples=500), wavs[2], mels[2])
    assert writer.add(Part(name="a/long.wav", index=0, count=2), wavs[0], mels[0])
    assert (tmp_path / "a" / "long.wav").is_file()
    long, short = (soundfile.read(tmp_path / name)[0] for name in ("a/long.wav", "b.wav"))
    assert len(long) == (4 + 13) * 256  # 13 frames are 0.15 s
    assert np.abs(long[:200] - wavs[0][:200].numpy()).max() < 1e-4
    assert np.abs(short - wavs[2][:500].numpy()).max() < 1e-4
    assert sorted(path.name for path in tmp_path.rglob("*.npy")) == (["b.npy", "long.npy"] if save_mels else [])
    if save_mels:
        mel = np.load(tmp_path / "a" / "long.npy")
        assert (mel.dtype, mel.shape) == (np.float32, (80, 17))
        assert mel[0].tolist() == [0, 0, *[np.float32(SILENCE)] * 13, 1, 1]


def test_pieces_do_not_keep_their_batch_in_memory(tmp_path):
    writer = SpeechWriter(tmp_path, AudioConfig())
    batch = torch.zeros(10, 10**5)
    writer.add(Part(name="a.wav", count=2), batch[0, :100], torch.zeros(80, 1))
    assert writer._waiting["a.wav"][0][0].base is None
