"""The quality gate, on audio with known differences."""

import numpy as np
import pytest
import torch

from benchmarks.inference.quality import Quality, judge, read_clips, snr_db
from common.audio import AudioConfig, MelSpectrogram
from common.errors import InputError
from tests.support.data_sets import speechlike

CPU = torch.device("cpu")
AUDIO = AudioConfig()


@pytest.mark.parametrize(
    ("mean", "lowest", "change", "passes"),
    [
        (40.0, 38.0, 0.3, True),
        (60.0, 37.9, 0.0, False),
        (60.0, 60.0, 0.31, False),
        (60.0, 60.0, -0.31, False),
        (None, None, 0.0, True),
        (None, 37.9, 0.0, False),
        (np.nan, 60.0, 0.0, False),
    ],
)
def test_gate(mean, lowest, change, passes):
    assert Quality(mean, lowest, 0.2, change).passes == passes


def test_noise_of_a_known_level():
    clips = [speechlike(0.5, seed=seed).astype(np.float32) for seed in range(2)]
    made = {}

    def plain(mel):
        return made.setdefault(mel.sum().item(), torch.randn(1, mel.size(2) * 256 + 3) / 10)

    def noisy(mel):  # differs by -40 dB, then by -20 dB
        wav = plain(mel)
        return wav * (1.01 if len(made) == 1 else 1.1)

    reference, same, other = judge({"eager fp32": plain, "same": plain, "other": noisy}, clips, AUDIO, CPU)
    assert reference == same
    assert reference.snr_db is None
    assert reference.mel_change_percent == 0
    assert other.snr_db == pytest.approx(30, abs=1e-3)
    assert other.lowest_snr_db == pytest.approx(20, abs=1e-3)
    assert not other.passes
    transform = MelSpectrogram(AudioConfig(mel_fmax=None))
    losses = []
    for clip, wav in zip(clips, made.values(), strict=True):
        whole = torch.from_numpy(clip[: len(clip) // 256 * 256])[None]
        losses.append((transform(wav[:, : whole.size(1)]) - transform(whole)).abs().mean().item())
    assert reference.mel_loss == pytest.approx(np.mean(losses))
    assert other.mel_change_percent == pytest.approx(100 * (other.mel_loss / reference.mel_loss - 1))


def test_one_equal_clip_does_not_hide_another():
    clips = [speechlike(0.5, seed=seed).astype(np.float32) for seed in range(2)]
    made = iter([1.0, 1.0, 1.0, 1.5])  # reference and way of each clip
    random = torch.randn(1, 2**14, generator=torch.Generator().manual_seed(0)) / 10

    def run(mel):
        return random * next(made)

    _, way = judge({"eager fp32": run, "way": run}, clips, AUDIO, CPU)
    assert way.snr_db is None
    assert way.lowest_snr_db == pytest.approx(6.02, abs=0.01)
    assert not way.passes


def test_snr():
    wav = torch.tensor([1.0, -2.0])
    assert snr_db(wav, wav) == np.inf
    assert snr_db(wav, wav * 1.1) == pytest.approx(20, abs=1e-4)


def test_clips(tmp_path):
    import soundfile

    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", speechlike(0.4, seed=number) / (number + 1), 22050)
    clips = read_clips(tmp_path, 2, 0.1, 22050)
    assert [len(clip) for clip in clips] == [2205, 2205]
    assert [np.abs(clip).max() for clip in clips] == pytest.approx([0.95, 0.95])
    with pytest.raises(InputError, match="none: no audio files"):
        read_clips(tmp_path / "none", 2, 0.1, 22050)
