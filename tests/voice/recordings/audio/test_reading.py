"""Recordings of all kinds become the same mono audio, and their defects are measured."""

import numpy as np
import pytest
import soundfile

from benchmarks.voice.assemble import write_recording
from common.audio_files import resample
from common.errors import InputError
from tests.support.data_sets import speechlike
from tests.support.paths import written
from voice.recordings.audio.reading import RATE_HZ, read_recording

WAV = speechlike(1.5, 48000) * 0.3


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampled_in_blocks_as_at_once(tmp_path, rate, monkeypatch):
    monkeypatch.setattr("common.audio_input.decoding.BLOCK_SAMPLES", 1000)
    wav = speechlike(1.5, rate) * 0.3
    soundfile.write(tmp_path / "a.wav", wav, rate, subtype="FLOAT")
    made, quality = read_recording(tmp_path / "a.wav")
    expected = resample(wav, rate, RATE_HZ)
    assert made.dtype == np.float32
    assert abs(len(made) - len(expected)) <= 1
    length = min(len(made), len(expected))
    np.testing.assert_allclose(made[:length], (expected - wav.mean())[:length], atol=1e-5)
    assert (quality.sampling_rate, quality.channels, quality.channel_choice) == (rate, 1, "")
    assert quality.seconds == pytest.approx(1.5)


@pytest.mark.medium
@pytest.mark.parametrize("suffix", ["mp3", "m4a"])
def test_lossy_files_keep_their_times(tmp_path, suffix):
    pytest.importorskip("av")
    write_recording(tmp_path / f"a.{suffix}", np.stack([WAV, WAV], axis=1))
    made, quality = read_recording(tmp_path / f"a.{suffix}")
    expected = resample(WAV, 48000, RATE_HZ)
    window = slice(4000, 30000)
    products = [expected[window] @ made[window.start + lag : window.stop + lag] for lag in range(-50, 51)]
    assert abs(int(np.argmax(products)) - 50) <= 1
    assert np.corrcoef(expected[window], made[window])[0, 1] > 0.95
    assert quality.channels == 2


def test_sound_of_a_video(tmp_path):
    pytest.importorskip("av")
    write_recording(tmp_path / "a.m4a", np.stack([WAV, WAV], axis=1))
    video = (tmp_path / "a.m4a").rename(tmp_path / "a.MP4")
    assert read_recording(video)[1].seconds == pytest.approx(1.5, abs=0.05)


def test_offset_and_clipping(tmp_path):
    wav = np.clip(WAV * 20, -1, 1)
    soundfile.write(tmp_path / "loud.wav", wav, 48000)
    share = np.mean((np.abs(wav[1:]) == 1) & (np.abs(wav[:-1]) == 1))
    assert read_recording(tmp_path / "loud.wav")[1].clipped_share == pytest.approx(share, rel=0.01)
    soundfile.write(tmp_path / "offset.wav", WAV - WAV.mean() + 0.2, 48000)
    made, quality = read_recording(tmp_path / "offset.wav")
    assert quality.dc_offset == pytest.approx(0.2, abs=1e-3)
    assert quality.clipped_share == 0
    assert abs(made[1000:-1000].mean()) < 1e-3


@pytest.mark.parametrize(("source", "low", "high"), [(8000, 3300, 4200), (16000, 7000, 8200), (48000, 12000, 24000)])
def test_bandwidth(tmp_path, source, low, high):
    wav = resample(np.random.default_rng(0).standard_normal(2 * source) * 0.1, source, 48000)
    soundfile.write(tmp_path / "a.flac", wav, 48000)
    assert low <= read_recording(tmp_path / "a.flac")[1].bandwidth_hz <= high


def test_files_that_cannot_be_used(tmp_path):
    soundfile.write(tmp_path / "short.wav", WAV[:1000], 48000)
    soundfile.write(tmp_path / "nan.wav", np.full(48000, np.nan), 48000, subtype="FLOAT")
    soundfile.write(tmp_path / "scale.wav", WAV * 32768, 48000, subtype="FLOAT")
    written(tmp_path / "broken.m4a", b"\0\0\0\x20ftypM4A " + b"x" * 1000)
    for name, message in {
        "short.wav": "0.02 s of audio are too short",
        "nan.wav": "not finite",
        "scale.wav": "full scale is 1",
        "broken.m4a": "not a readable audio file|need PyAV",
    }.items():
        with pytest.raises(InputError, match=message) as error:
            read_recording(tmp_path / name)
        assert name in str(error.value)
    with pytest.raises(FileNotFoundError):
        read_recording(tmp_path / "absent.wav")
