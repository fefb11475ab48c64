"""Where segments are cut, and how mels and audio are paired."""

import numpy as np
import pytest
import soundfile
import torch

from common.audio import AudioConfig, MelSpectrogram
from common.errors import InputError
from common.training.sampling import ClipKey
from hifigan.training.segments import PairDataset, SegmentDataset

RATE, SEGMENT = 22050, 1024
AUDIO = AudioConfig()


def test_crops_are_cut_from_normalised_clips(paths):
    dataset = SegmentDataset(paths, AUDIO, SEGMENT, 5)
    clip = np.linspace(0.1, 0.8, 5000) / 0.8 * 0.95
    starts = set()
    for draw in range(200):
        segment = dataset[ClipKey(0, draw)][0].numpy()
        start = int(np.abs(clip - segment[0]).argmin())
        np.testing.assert_allclose(segment, clip[start : start + SEGMENT], atol=1e-6)
        starts.add(start)
    assert len(starts) > 150
    assert min(starts) < 200
    assert max(starts) > 3800
    assert torch.equal(dataset[ClipKey(0, 3)][0], dataset[ClipKey(0, 3)][0])


def test_last_crop_is_possible(paths):
    dataset = SegmentDataset(paths[:1], AUDIO, 4999, 5)
    firsts = {round(dataset[ClipKey(0, draw)][0][0].item(), 6) for draw in range(40)}
    assert len(firsts) == 2  # starts 0 and 1


def test_exactly_one_segment_and_shorter_clips(paths):
    dataset = SegmentDataset(paths, AUDIO, SEGMENT, 5)
    whole = dataset[ClipKey(3, 0)][0].numpy()
    np.testing.assert_allclose(whole, np.linspace(0.1, 0.8, SEGMENT) / 0.8 * 0.95, atol=1e-6)
    short = dataset[ClipKey(4, 0)][0].numpy()
    np.testing.assert_allclose(short[:600], np.linspace(0.1, 0.8, 600) / 0.8 * 0.95, atol=1e-6)
    assert not short[600:].any()


def test_audio_that_changed_after_the_check_is_named(paths):
    soundfile.write(paths[0], np.zeros(5000), 16000)
    with pytest.raises(InputError, match=r"0\.wav: sampling rate is 16000 Hz, expected 22050 Hz"):
        SegmentDataset(paths, AUDIO, SEGMENT, 5)[ClipKey(0, 0)]


def mel_difference(dataset, draws=20):
    """Mean L1 of log mels between what a segment brings and what its own audio gives, without edges."""
    transform = MelSpectrogram(AUDIO)
    differences = []
    for clip in range(len(dataset) - 1):
        for draw in range(draws):
            wav, mel = dataset[ClipKey(clip, draw)]
            assert (len(wav), mel.shape) == (8192, (80, 32))
            differences.append((transform(wav[None])[0] - mel)[:, 3:-3].abs().mean().item())
    return float(np.mean(differences))


def test_mels_and_audio_are_in_phase(pairs):
    paths, mels = pairs
    tacotron = PairDataset(paths, mels["tacotron"], AudioConfig(framing="tacotron"), 8192, 5)
    vocoder = PairDataset(paths, mels["vocoder"], AUDIO, 8192, 5)
    historical = PairDataset(paths, mels["tacotron"], AUDIO, 8192, 5)
    assert mel_difference(vocoder) < 1e-4
    assert mel_difference(tacotron) < 2e-3
    assert 0.1 < mel_difference(historical) < 0.5


def test_pairs_keep_their_level_and_cover_all_frames(pairs):
    paths, mels = pairs
    dataset = PairDataset(paths, mels["tacotron"], AudioConfig(framing="tacotron"), 8192, 5)
    wav, mel = dataset.load(1)
    original, _ = soundfile.read(paths[1], dtype="float32")
    assert mel.size(1) == 12345 // 256 + 1
    assert len(wav) == 256 * mel.size(1)
    assert not wav[:128].any()
    np.testing.assert_array_equal(wav[128 : 128 + 12345], original[: len(wav) - 128])
    wav, mel = dataset.load(3)  # 700 samples: silence follows
    assert (len(wav), mel.size(1)) == (8192, 32)
    assert not wav[128 + 700 :].any()
    assert (mel[:, 3:] == np.float32(np.log(1e-5))).all()


def test_bad_pairs_are_counted_and_named(pairs):
    paths, mels = pairs
    files = mels["tacotron"]
    np.save(files[0], np.zeros((80, 20), np.float32))
    np.save(files[1], np.zeros((40, 49), np.float32))
    files[2].write_bytes(b"no mel")
    dataset = PairDataset(paths, files, AudioConfig(framing="tacotron"), 8192, 5)
    with pytest.raises(InputError) as error:
        dataset.check()
    message = str(error.value)
    assert message.startswith("3 of 4 mels cannot be used: ")
    assert "0.npy: 20 frames, but its audio" in message
    assert "1.npy: expected a mel spectrogram of shape [80, frames], got [40, 49]" in message
    assert "2.npy: not a readable mel" in message
