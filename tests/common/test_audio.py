"""Mel spectrograms against librosa and recorded values."""

from __future__ import annotations

import copy
import dataclasses
import math

import librosa
import numpy as np
import pytest
import torch

from common.audio import AudioConfig, MelSpectrogram, mel_filters
from common.audio_files import load_wav, normalise_peak
from common.errors import InputError
from tests.support.data_sets import swelling_noise
from tests.support.paths import real_speech

CONFIGS = {
    "recipe": AudioConfig(),
    "loss": AudioConfig(mel_fmax=None),
    "16k": AudioConfig(16000, 1024, 200, 800, 64, 50.0, 7600.0),
    "44k": AudioConfig(44100, 2048, 512, 1200, 128, 20.0, None),
    "small": AudioConfig(8000, 256, 80, 256, 40, 0.0, None),
}


def reference_mel(wav: np.ndarray, config: AudioConfig) -> np.ndarray:
    """The specification written with librosa's transform and filters, in float64."""
    vocoder = config.framing == "vocoder"
    pad = (config.filter_length - config.hop_length) // 2 if vocoder else config.filter_length // 2
    spec = librosa.stft(
        np.pad(wav, pad, mode="reflect"),
        n_fft=config.filter_length,
        hop_length=config.hop_length,
        win_length=config.win_length,
        window="hann",
        center=False,
        dtype=np.complex128,
    )
    magnitude = np.sqrt(spec.real**2 + spec.imag**2 + (1e-9 if vocoder else 0))
    bands = librosa.filters.mel(
        sr=config.sampling_rate,
        n_fft=config.filter_length,
        n_mels=config.num_mels,
        fmin=config.mel_fmin,
        fmax=config.mel_fmax or config.sampling_rate / 2,
        htk=False,
        norm="slaney",
        dtype=np.float64,
    )
    return np.log(np.maximum(bands @ magnitude, 1e-5))


def with_framing(config: AudioConfig, framing: str) -> AudioConfig:
    return AudioConfig.from_dict(vars(config), framing=framing)


def assert_parity(mel: np.ndarray, expected: np.ndarray) -> None:
    assert mel.shape == expected.shape
    difference = np.abs(mel - expected)
    assert difference.mean() <= 1e-5
    assert difference.max() <= 2e-3
    assert (difference <= 1e-4).mean() >= 0.995


@pytest.mark.parametrize("framing", ["vocoder", "tacotron"])
@pytest.mark.parametrize("name", CONFIGS)
def test_mel_is_that_of_librosa(name: str, framing: str) -> None:
    config = with_framing(CONFIGS[name], framing)
    wavs = np.stack([swelling_noise(9001, seed=1), np.concatenate([np.zeros(5000), swelling_noise(4001, seed=2)])])
    mels = MelSpectrogram(config)(torch.from_numpy(wavs).float()).numpy()
    for wav, mel in zip(wavs, mels, strict=True):
        assert_parity(mel, reference_mel(wav.astype(np.float32).astype(np.float64), config))


def test_recorded_mels_of_ljspeech() -> None:
    folder = real_speech()
    if folder is None:
        pytest.skip("HIFIGAN_TEST_DATA is not set")
    recorded = np.load(folder / "parity" / "mel.npz")
    clips = sorted({key.split("/")[0] for key in recorded.files})
    assert clips
    for clip in clips:
        raw, rate = load_wav(folder / "data" / "ljspeech-mini" / "wavs" / f"{clip}.wav")
        assert rate == 22050
        normal = torch.from_numpy(normalise_peak(raw).astype(np.float32))[None]
        plain = torch.from_numpy(raw.astype(np.float32))[None]
        vocoder, loss = MelSpectrogram(AudioConfig()), MelSpectrogram(AudioConfig(mel_fmax=None))
        tacotron = MelSpectrogram(AudioConfig(framing="tacotron"))(plain)[0].numpy()
        assert_parity(vocoder(normal)[0].numpy(), recorded[f"{clip}/vocoder_mel_fmax8000"])
        assert_parity(loss(normal)[0, :, :64].numpy(), recorded[f"{clip}/vocoder_mel_fmaxNone"])
        assert_parity(tacotron[:, :200], recorded[f"{clip}/tacotron_mel"])
        assert tacotron.shape[1] == recorded[f"{clip}/tacotron_frames"]


@pytest.mark.parametrize("samples", [1024, 1279, 1280, 1281, 8192])
def test_number_of_frames(samples: int) -> None:
    wav = torch.from_numpy(swelling_noise(samples)).float()[None]
    for framing, frames in (("vocoder", samples // 256), ("tacotron", samples // 256 + 1)):
        config = AudioConfig(framing=framing)
        assert MelSpectrogram(config)(wav).shape == (1, 80, frames)
        assert config.num_frames(samples) == frames


def test_framings_are_half_a_hop_apart() -> None:
    wav = torch.from_numpy(swelling_noise(9216)).float()[None]
    shifted = torch.nn.functional.pad(wav, (128, 0))
    vocoder = MelSpectrogram(AudioConfig())(shifted)[0, :, 4:30]
    tacotron = MelSpectrogram(AudioConfig(framing="tacotron"))(wav)[0, :, 4:30]
    assert (vocoder - tacotron).abs().mean() < 1e-3
    assert (MelSpectrogram(AudioConfig())(wav)[0, :, 4:30] - tacotron).abs().mean() > 0.01


@pytest.mark.parametrize("framing", ["vocoder", "tacotron"])
def test_gradients_are_finite(framing: str) -> None:
    mel = MelSpectrogram(AudioConfig(framing=framing))
    wav = torch.zeros(2, 4096)
    wav[1, 2048:] = torch.from_numpy(swelling_noise(2048)).float()
    wav.requires_grad_(True)
    mel(wav).sum().backward()
    assert wav.grad is not None
    assert torch.isfinite(wav.grad).all()
    assert wav.grad[1].abs().max() > 0
    assert (mel(torch.zeros(1, 4096)) >= math.log(1e-5)).all()


def test_autocast_has_no_effect() -> None:
    mel = MelSpectrogram(AudioConfig())
    wav = torch.from_numpy(swelling_noise(8192)).float()[None]
    with torch.autocast("cpu", torch.bfloat16):
        inside = mel(wav)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, mel(wav))
    assert mel(wav.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mel_fmax": None},
        {"mel_fmin": 125.0, "mel_fmax": 7600.0, "sampling_rate": 16000},
        {"num_mels": 128, "sampling_rate": 44100, "filter_length": 2048, "win_length": 2048, "mel_fmin": 1100.0},
        {"mel_fmax": 900.0, "num_mels": 20, "filter_length": 1025, "hop_length": 255},
    ],
)
def test_filters_are_those_of_librosa(changes: dict) -> None:
    config = dataclasses.replace(AudioConfig(), **changes)
    expected = librosa.filters.mel(
        sr=config.sampling_rate,
        n_fft=config.filter_length,
        n_mels=config.num_mels,
        fmin=config.mel_fmin,
        fmax=config.mel_fmax,
    )
    np.testing.assert_allclose(mel_filters(config), expected, rtol=1e-6, atol=1e-10)


def test_two_configurations_do_not_share_filters() -> None:
    # Published code caches the filters by fmax alone.
    low, high = MelSpectrogram(AudioConfig(16000)), MelSpectrogram(AudioConfig(22050))
    assert not torch.equal(low.mel_basis, high.mel_basis)
    assert not list(low.state_dict())


def test_too_short_or_misshapen_audio() -> None:
    mel = MelSpectrogram(AudioConfig())
    with pytest.raises(InputError, match="384 samples are too few, need more than 384"):
        mel(torch.zeros(1, 384))
    assert mel(torch.zeros(1, 385)).shape == (1, 80, 1)
    with pytest.raises(InputError, match=r"\[B, T\], got \[1, 1, 8192\]"):
        mel(torch.zeros(1, 1, 8192))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"framing": "centred"}, "framing: 'centred'"),
        ({"win_length": 2048}, "win_length 2048"),
        ({"hop_length": 2048}, "hop_length 2048"),
        ({"hop_length": 255}, "hop_length 255"),
        ({"hop_length": 0}, "hop_length: 0"),
        ({"sampling_rate": "22050"}, "sampling_rate: '22050'"),
        ({"mel_fmax": 11026.0}, "mel_fmax 11026"),
        ({"mel_fmin": 8000.0}, "mel_fmin 8000"),
        ({"mel_fmin": -1.0}, "mel_fmin -1"),
        ({"mel_fmin": math.nan}, "mel_fmin nan"),
        ({"mel_fmax": "8000"}, "mel_fmax: '8000'"),
    ],
)
def test_contradictory_configurations(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        AudioConfig(**values)


def test_configuration_from_a_checkpoint() -> None:
    config = AudioConfig.from_dict({"sampling_rate": 16000, "mel_fmax": None, "seed": 3}, framing="tacotron")
    assert config == AudioConfig(16000, mel_fmax=None, framing="tacotron")


@pytest.mark.parametrize("framing", ["vocoder", "tacotron"])
def test_long_audio_in_blocks(framing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spectrum of a long file takes 50 times the memory of its mel."""
    transform = MelSpectrogram(AudioConfig(framing=framing))
    wav = torch.from_numpy(np.stack([swelling_noise(100_003, seed) for seed in (0, 1)])).float()
    whole = transform(wav)
    monkeypatch.setattr("common.audio.BLOCK_FRAMES", 64)
    in_blocks = transform(wav)
    assert in_blocks.shape == whole.shape == (2, 80, transform.config.num_frames(100_003))
    torch.testing.assert_close(in_blocks, whole, atol=1e-6, rtol=1e-6)
    assert transform(wav.requires_grad_()).requires_grad


@pytest.mark.parametrize("framing", ["vocoder", "tacotron"])
def test_mels_and_their_gradients_are_exact_whatever_products_are_allowed(framing, matmul_precision):
    mel = MelSpectrogram(dataclasses.replace(CONFIGS["recipe"], framing=framing))
    found = []
    wav = torch.from_numpy(swelling_noise(8192)).view(1, -1)
    for module, dtype in ((mel, torch.float32), (copy.deepcopy(mel).double(), torch.float64)):
        given = wav.to(dtype).requires_grad_()
        made = module(given)
        (gradient,) = torch.autograd.grad(made.square().sum(), given)
        assert made.dtype == gradient.dtype == dtype
        found.append((made.detach().double(), gradient.double()))
    (made, gradient), (true, true_gradient) = found
    torch.testing.assert_close(made, true, rtol=0, atol=2e-5)
    assert (gradient - true_gradient).norm() < 1e-5 * true_gradient.norm()
