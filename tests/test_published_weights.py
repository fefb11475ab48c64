"""Published weights on real speech: a check of signal, model and loader at once. Needs HIFIGAN_TEST_DATA."""

import numpy as np
import pytest
import torch

from common.audio import AudioConfig, MelSpectrogram, load_wav, normalise_peak
from hifigan import load_generator
from hifigan.losses import mel_loss
from tests.support import REPOSITORY, real_speech

MODELS = REPOSITORY / "pretrained_models"
# Mean mel L1 with fmax = Nyquist over LJ001-0001 to -0032, measured with another implementation.
EXPECTED = {
    "v2": (("data", "weights", "LJ_V2", "generator_v2"), 0.3287),
    "v3": (("data", "weights", "LJ_V3", "generator_v3_fused.pt"), 0.3418),
    "v1": (MODELS / "hifigan-lj-v1" / "generator_LJSpeech.pth.tar", 0.2197),
    "universal": (MODELS / "hifigan-universal-v1" / "generator_universal.pth.tar", 0.2850),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(EXPECTED))
def test_mel_loss(name):
    if real_speech() is None:
        pytest.skip("HIFIGAN_TEST_DATA is not set")
    place, expected = EXPECTED[name]
    path = real_speech().joinpath(*place) if isinstance(place, tuple) else place
    if not path.is_file():
        pytest.skip(f"{path.name} is not there (scripts/download_models.sh)")
    generator, info = load_generator(path)
    mel, loss_mel = MelSpectrogram(info.audio), MelSpectrogram(AudioConfig(mel_fmax=None))
    losses = []
    for clip in range(1, 33):
        wav, _ = load_wav(real_speech() / "data" / "ljspeech-mini" / "wavs" / f"LJ001-{clip:04d}.wav")
        whole = normalise_peak(wav)[: len(wav) // info.audio.hop_length * info.audio.hop_length]
        real = torch.from_numpy(whole.astype(np.float32))[None]
        with torch.inference_mode():
            losses.append(mel_loss(loss_mel(real), loss_mel(generator(mel(real)).squeeze(1))).item())
    assert np.mean(losses) == pytest.approx(expected, abs=0.002)
