"""Mel spectrograms against librosa and recorded values; audio files of every kind."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch

from common.audio import AudioConfig, MelSpectrogram, mel_filters
from common.audio_files import fade_out, load_wav, load_wav_at, normalise_peak, resample, save_wav, wav_info
from common.errors import InputError
from tests.support.paths import real_speech

CONFIGS = {
    "recipe": AudioConfig(),
    "loss": AudioConfig(mel_fmax=None),
    "16k": AudioConfig(16000, 1024, 200, 800, 64, 50.0, 7600.0),
    "44k": AudioConfig(44100, 2048, 512, 1200, 128, 20.0, None),
    "small": AudioConfig(8000, 256, 80, 256, 40, 0.0, None),
}


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """A swelling sound with loud and quiet bins, [T] in [-1, 1]."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples)
    wav = np.sin(time * 0.05) + 0.3 * np.sin(time * 0.7) + 0.1 * rng.standard_normal(samples)
    return wav / np.abs(wav).max() * np.linspace(0.001, 0.8, samples)


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
    wavs = np.stack([noise(9001, seed=1), np.concatenate([np.zeros(5000), noise(4001, seed=2)])])
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
    wav = torch.from_numpy(noise(samples)).float()[None]
    for framing, frames in (("vocoder", samples // 256), ("tacotron", samples // 256 + 1)):
        config = AudioConfig(framing=framing)
        assert MelSpectrogram(config)(wav).shape == (1, 80, frames)
        assert config.num_frames(samples) == frames


def test_framings_are_half_a_hop_apart() -> None:
    wav = torch.from_numpy(noise(9216)).float()[None]
    shifted = torch.nn.functional.pad(wav, (128, 0))
    vocoder = MelSpectrogram(AudioConfig())(shifted)[0, :, 4:30]
    tacotron = MelSpectrogram(AudioConfig(framing="tacotron"))(wav)[0, :, 4:30]
    assert (vocoder - tacotron).abs().mean() < 1e-3
    assert (MelSpectrogram(AudioConfig())(wav)[0, :, 4:30] - tacotron).abs().mean() > 0.01


@pytest.mark.parametrize("framing", ["vocoder", "tacotron"])
def test_gradients_are_finite(framing: str) -> None:
    mel = MelSpectrogram(AudioConfig(framing=framing))
    wav = torch.zeros(2, 4096)
    wav[1, 2048:] = torch.from_numpy(noise(2048)).float()
    wav.requires_grad_(True)
    mel(wav).sum().backward()
    assert wav.grad is not None
    assert torch.isfinite(wav.grad).all()
    assert wav.grad[1].abs().max() > 0
    assert (mel(torch.zeros(1, 4096)) >= math.log(1e-5)).all()


def test_autocast_has_no_effect() -> None:
    mel = MelSpectrogram(AudioConfig())
    wav = torch.from_numpy(noise(8192)).float()[None]
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


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        (".wav", "PCM_U8", 2**-7),
        (".wav", "PCM_16", 2**-15),
        (".wav", "PCM_24", 2**-23),
        (".wav", "PCM_32", 2**-30),
        (".wav", "FLOAT", 1e-7),
        (".wav", "DOUBLE", 0),
        (".flac", "PCM_16", 2**-15),
        (".flac", "PCM_24", 2**-23),
        (".ogg", "VORBIS", 0.1),
    ],
)
def test_every_sample_format(tmp_path: Path, suffix: str, subtype: str, tolerance: float) -> None:
    wav = noise(5000) * 0.9
    soundfile.write(tmp_path / f"a{suffix}", wav, 16000, subtype=subtype)
    loaded, rate = load_wav(tmp_path / f"a{suffix}")
    assert rate == 16000
    assert loaded.shape == wav.shape
    assert loaded.dtype == np.float64
    assert np.abs(loaded - wav).max() <= tolerance
    info = wav_info(tmp_path / f"a{suffix}")
    assert (info.sampling_rate, info.channels, info.frames) == (16000, 1, 5000)


def test_full_scale_is_one(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([-32768, 16384, 32767], np.int16), 22050)
    assert load_wav(tmp_path / "a.wav")[0].tolist() == [-1.0, 0.5, 32767 / 32768]


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = noise(1000, 1), noise(1000, 2)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), 22050, subtype="DOUBLE")
    np.testing.assert_allclose(load_wav(tmp_path / "a.wav")[0], (left + right) / 2, atol=1e-12)
    assert wav_info(tmp_path / "a.wav").channels == 2


def _truncated(suffix: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        whole = path.with_name(f"whole{suffix}")
        soundfile.write(whole, noise(22050), 22050)
        path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    return write


BAD_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "empty": ("a.wav", lambda path: soundfile.write(path, np.zeros(0), 22050), "has no samples"),
    "no bytes": ("a.wav", lambda path: path.write_bytes(b""), "not a readable audio file"),
    "text": ("a.wav", lambda path: path.write_text("hello " * 1000), "not a readable audio file"),
    "half FLAC": ("a.flac", _truncated(".flac"), "not a readable audio file"),
    "NaN": ("a.wav", lambda path: soundfile.write(path, np.array([0, np.nan]), 22050, "FLOAT"), "not finite"),
    "infinite": ("a.wav", lambda path: soundfile.write(path, np.array([0, np.inf]), 22050, "FLOAT"), "not finite"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files_are_named(tmp_path: Path, kind: str) -> None:
    name, write, message = BAD_FILES[kind]
    write(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        load_wav(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wav_that_breaks_off(tmp_path: Path) -> None:
    _truncated(".wav")(tmp_path / "a.wav")
    with pytest.raises(InputError, match=r"a\.wav: the audio file breaks off: 22072 of 44144 bytes"):
        wav_info(tmp_path / "a.wav")


def test_wav_from_a_pipe_announces_no_length(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(1000), 22050)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(data)
    assert wav_info(tmp_path / "a.wav").frames == 1000


def test_missing_files_and_other_rates(tmp_path: Path) -> None:
    for read in (load_wav, wav_info):
        with pytest.raises(FileNotFoundError, match=r"absent\.wav: no such file"):
            read(tmp_path / "absent.wav")
        with pytest.raises(FileNotFoundError, match="no such file"):
            read(tmp_path)
    soundfile.write(tmp_path / "a.wav", noise(100), 16000)
    assert len(load_wav_at(tmp_path / "a.wav", 16000)) == 100
    with pytest.raises(InputError, match=r"a\.wav: sampling rate is 16000 Hz, expected 22050 Hz.*--convert-to"):
        load_wav_at(tmp_path / "a.wav", 22050)


def test_int16_survives_a_round_trip(tmp_path: Path) -> None:
    values = np.arange(-32768, 32768, dtype=np.int16)
    save_wav(tmp_path / "sub" / "a.wav", values / 32768, 22050)
    stored, rate = soundfile.read(tmp_path / "sub" / "a.wav", dtype="int16")
    assert rate == 22050
    assert np.array_equal(stored, values)
    assert soundfile.info(tmp_path / "sub" / "a.wav").subtype == "PCM_16"


def test_loud_samples_are_clipped_and_nothing_is_rescaled(tmp_path: Path) -> None:
    save_wav(tmp_path / "a.wav", np.array([2.0, -2.0, 1.0, 0.25, 2.6 / 32768], np.float32), 22050)
    stored, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert stored.tolist() == [32767, -32768, 32767, 8192, 3]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_wav(tmp_path / "a.wav", np.zeros(10), 22050)
    before = (tmp_path / "a.wav").read_bytes()

    def full_disk(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(OSError, match="No space"):
            save_wav(tmp_path / "a.wav", np.ones(10), 22050)
    with pytest.raises(InputError, match=r"a\.wav: not written, .* not finite"):
        save_wav(tmp_path / "a.wav", np.full(10, np.nan), 22050)
    with pytest.raises(OSError, match="too long"):
        save_wav(tmp_path / ("x" * 250 + ".wav"), np.zeros(10), 22050)
    assert (tmp_path / "a.wav").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_fade_out() -> None:
    wav = np.ones(100, np.float32)
    faded = fade_out(wav, 40)
    assert faded[:60].tolist() == [1] * 60
    assert np.all(np.diff(faded[59:]) < 0)
    assert faded[-1] == 0
    assert faded.dtype == np.float32
    assert wav[-1] == 1, "the input was changed"
    np.testing.assert_allclose(np.diff(faded[59:]), -1 / 40, atol=1e-6)
    for samples in (0, -3):
        assert np.array_equal(fade_out(wav, samples), wav)
    assert fade_out(wav, 1000).shape == (100,)
    assert fade_out(wav, 1000)[-1] == 0
    assert fade_out(np.ones(1), 5).tolist() == [0]
    assert fade_out(np.ones(0), 5).shape == (0,)


def test_normalise_peak() -> None:
    assert np.abs(normalise_peak(np.array([0.1, -0.2]))).max() == pytest.approx(0.95)
    assert normalise_peak(np.zeros(5)).tolist() == [0] * 5
    assert normalise_peak(np.zeros(0)).shape == (0,)


@pytest.mark.parametrize(("source", "target"), [(16000, 22050), (48000, 22050), (22050, 22050)])
def test_resampled_sine(source: int, target: int) -> None:
    def sine(rate: int) -> np.ndarray:
        return 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)

    made = resample(sine(source), source, target)
    assert len(made) == target
    middle = slice(target // 10, -target // 10)
    assert np.abs(made - sine(target))[middle].max() < 1e-4


def test_resampling_removes_what_the_target_cannot_hold() -> None:
    high = 0.5 * np.sin(2 * np.pi * 15000 * np.arange(48000) / 48000)
    assert np.abs(resample(high, 48000, 22050)[2000:-2000]).max() < 1e-4
